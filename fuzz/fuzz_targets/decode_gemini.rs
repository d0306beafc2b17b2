#![no_main]

headgate_fuzz::target!(answers::read("gemini"));
