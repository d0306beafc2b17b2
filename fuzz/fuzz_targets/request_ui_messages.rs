#![no_main]

headgate_fuzz::target!(requests::taken_by(UI_MESSAGES));
