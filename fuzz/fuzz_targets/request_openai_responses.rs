#![no_main]

headgate_fuzz::target!(requests::taken_by(OPENAI_RESPONSES));
