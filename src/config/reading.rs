//! How the command line and the environment are read, and how a setting that is wrong is refused: in
//! one line that names the setting and, unless it is a secret, the value.

use std::env;

use clap::{
    Arg, Command, CommandFactory, FromArgMatches, Parser,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

use super::Cli;

/// A setting that the program cannot be run with.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
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

/// Reads the command line and the environment. Help, and a command line that is not understood, end
/// the process.
pub fn read() -> Result<Cli, Refused> {
    let command = without_empty_variables(Cli::command());
    let read = command.try_get_matches_from(env::args_os());
    match read.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => Ok(cli),
        // The help names every variable, those that are empty too.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Cli::parse()),
        Err(error) => Err(refused(&error).unwrap_or_else(|| error.exit())),
    }
}

/// A variable that is empty is one that is not set: Compose passes what nobody has set as empty ones.
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

/// What is wrong, if it is a setting: whatever the environment can hold.
fn refused(error: &Error) -> Option<Refused> {
    let mut command = Cli::command();
    command.build();
    match (error.kind(), error.get(ContextKind::InvalidArg)?) {
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, ContextValue::String(written)) => {
            refused_value(error, find(&command, written)?)
        }
        (ErrorKind::MissingRequiredArgument, ContextValue::Strings(written)) => {
            let settings = written.iter().map(|written| name(find(&command, written)?));
            settings.collect::<Option<_>>().map(Refused::Missing)
        }
        _ => None,
    }
}

fn refused_value(error: &Error, argument: &Arg) -> Option<Refused> {
    let setting = name(argument)?;
    let reason = reason(error)?;
    if argument.is_hide_env_values_set() {
        return Some(Refused::Secret { setting, reason });
    }
    match error.get(ContextKind::InvalidValue)? {
        ContextValue::String(value) => Some(Refused::Value {
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

/// The argument of any command that is written like this in an error: `--listen-addr <LISTEN_ADDR>`.
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

/// The value without what stands before the host of a URL.
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
