#![no_main]

headgate_fuzz::target!(sse::splits);
