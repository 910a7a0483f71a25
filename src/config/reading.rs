//! Reads the command line and the environment. A bad setting is refused in one line that names the
//! setting and, unless it is a secret, the value.

use std::env;

use clap::{
    Arg, Command, CommandFactory, FromArgMatches, Parser,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

use super::Cli;

/// A setting with which the program cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BadSetting {
    #[error("{setting} cannot be {value:?}: {reason}")]
    Value {
        setting: String,
        value: String,
        reason: String,
    },
    #[error("{setting} cannot be used: {reason}")]
    Secret { setting: String, reason: String },
    #[error("{} must be set", .0.join(" and "))]
    Missing(Vec<String>),
}

/// Reads the command line and the environment. After help, and after a command line that cannot be
/// parsed, the process ends.
pub fn read() -> Result<Cli, BadSetting> {
    let command = without_empty_variables(Cli::command());
    let read = command.try_get_matches_from(env::args_os());
    match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => Ok(cli),
        // Parsed again: the help names every variable, empty ones too.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Cli::parse()),
        Err(error) => Err(bad_setting(&error).unwrap_or_else(|| error.exit())),
    }
}

/// An empty variable counts as not set: Compose passes unset variables as empty ones.
fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(without_empty_variable)
        .mut_subcommands(without_empty_variables)
}

fn without_empty_variable(argument: Arg) -> Arg {
    let value = argument.get_env().and_then(env::var_os);
    if value.is_some_and(|value| value.is_empty()) {
        argument.env(None)
    } else {
        argument
    }
}

/// The setting that the error is about; `None` if it is about something that no variable sets.
fn bad_setting(error: &Error) -> Option<BadSetting> {
    let mut command = Cli::command();
    command.build();
    match (error.kind(), error.get(ContextKind::InvalidArg)?) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, ContextValue::String(written)) => {
            bad_value(error, find(&command, written)?)
        }
        (ErrorKind::MissingRequiredArgument, ContextValue::Strings(written)) => {
            let settings = written.iter().map(|written| name(find(&command, written)?));
            settings.collect::<Option<_>>().map(BadSetting::Missing)
        }
        _ => None,
    }
}

fn bad_value(error: &Error, argument: &Arg) -> Option<BadSetting> {
    let setting = name(argument)?;
    let reason = reason(error)?;
    if argument.is_hide_env_values_set() {
        return Some(BadSetting::Secret { setting, reason });
    }
    match error.get(ContextKind::InvalidValue)? {
        ContextValue::String(value) => Some(BadSetting::Value {
            setting,
            value: without_password(value),
            reason,
        }),
        _ => None,
    }
}

fn reason(error: &Error) -> Option<String> {
    use std::error::Error;

    if let Some(ContextValue::Strings(possible)) = error.get(ContextKind::ValidValue) {
        return Some(format!("must be {}", possible.join(" or ")));
    }
    Some(error.source()?.to_string())
}

/// The argument of any command that an error names like this: `--listen-addr <LISTEN_ADDR>`.
fn find<'a>(command: &'a Command, written: &str) -> Option<&'a Arg> {
    let mut own = command.get_arguments();
    own.find(|argument| argument.to_string() == written && argument.get_env().is_some())
        .or_else(|| {
            command
                .get_subcommands()
                .find_map(|command| find(command, written))
        })
}

/// The variable of an argument.
fn name(argument: &Arg) -> Option<String> {
    Some(argument.get_env()?.to_string_lossy().into_owned())
}

/// The value without the user and the password of a URL.
fn without_password(value: &str) -> String {
    let Some(at) = value.rfind('@') else {
        return value.to_owned();
    };
    let scheme = value
        .find("://")
        .filter(|end| *end < at)
        .map_or("", |end| &value[..end + "://".len()]);
    format!("{scheme}…{}", &value[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (value, shown) in [
            ("https://issuer.example/keys", "https://issuer.example/keys"),
            ("ftp://jane:secret@issuer.example", "ftp://…@issuer.example"),
            ("jane:se@cret@issuer.example", "…@issuer.example"),
        ] {
            assert_eq!(without_password(value), shown);
        }
    }
}
