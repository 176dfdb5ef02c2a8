//! Log lines, until every caller hands over a `server_log::Log`.

use std::fmt;

/// What a line is about.
#[derive(Clone, Copy, Debug)]
pub enum Category {
    General,
    Network,
}

/// Where lines go.
#[derive(Clone)]
pub struct Log {
    program: Option<&'static str>,
}

impl Log {
    /// Nowhere.
    pub fn discard() -> Log {
        Log { program: None }
    }

    /// To standard error.
    pub fn to_stderr(program: &'static str) -> Log {
        Log { program: Some(program) }
    }

    fn line(&self, level: &str, category: Category, text: fmt::Arguments<'_>) {
        if let Some(program) = self.program {
            eprintln!("{program}: {category:?} {level}: {text}");
        }
    }

    pub fn critical(&self, category: Category, text: fmt::Arguments<'_>) {
        self.line("Critical", category, text);
    }

    pub fn error(&self, category: Category, text: fmt::Arguments<'_>) {
        self.line("Error", category, text);
    }

    pub fn warning(&self, category: Category, text: fmt::Arguments<'_>) {
        self.line("Warning", category, text);
    }

    pub fn notice(&self, category: Category, text: fmt::Arguments<'_>) {
        self.line("Notice", category, text);
    }

    pub fn reopen(&self) {}
}
