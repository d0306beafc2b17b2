#![no_main]

headgate_fuzz::target!(answers::read("openai-responses"));
