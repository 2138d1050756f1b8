//! The encryption key: given by the operator, or made once and kept in a file beside an embedded database.

use std::{
    fmt,
    fs::{File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretString};
use zeroize::Zeroizing;

use super::{
    database::{directory_of, is_open_to_others, make_private_directory},
    errors::Problem,
};

/// How to make a key, for every text that asks for one.
pub(super) const MAKE_A_KEY: &str = "make one with `openssl rand -base64 32`";

const PREVIOUS_REMEDY: &str = "write each exactly as it stood in ENCRYPTION_KEY, or take it out of the list";

/// The command pads, other tools do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key as the operator gave it.
#[derive(Clone)]
pub struct GivenKey {
    key: Arc<SecretBox<[u8; 32]>>,
    text: SecretString,
}

impl GivenKey {
    /// The key itself.
    pub fn key(&self) -> &SecretBox<[u8; 32]> {
        &self.key
    }

    /// The text that encodes it, see [`EncryptionKey::text`].
    pub fn text(&self) -> &SecretString {
        &self.text
    }
}

impl fmt::Debug for GivenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenKey(…)")
    }
}

/// The key that seals every token.
#[derive(Clone)]
pub enum EncryptionKey {
    /// Set by the operator.
    Given(GivenKey),
    /// Made by the gateway and kept in this file.
    KeptBeside(PathBuf),
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(…)"),
            Self::KeptBeside(path) => f.debug_tuple("KeptBeside").field(path).finish(),
        }
    }
}

/// Why the kept key cannot be had. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file system refused.
    #[error("cannot {action} the encryption key file {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The key file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// Someone else may have read it.
    #[error("others can read the encryption key file {0}: close it with `chmod 600 {0}`", path.display())]
    OpenToOthers {
        /// The key file.
        path: PathBuf,
    },
    /// It holds something else than a key. It is not replaced: tokens may be sealed with what it held.
    #[error("the encryption key file {} holds no key ({problem}): restore it from a backup, or set ENCRYPTION_KEY", path.display())]
    NoKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong with the content.
        problem: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for an encryption key: set ENCRYPTION_KEY")]
    NoRandomness,
}

impl EncryptionKey {
    /// The text that encodes the key, to the letter: the predecessor sealed with what it derived from that. A kept key
    /// has no predecessor.
    pub fn text(&self) -> Option<&SecretString> {
        match self {
            Self::Given(given) => Some(&given.text),
            Self::KeptBeside(_) => None,
        }
    }

    /// The key itself, unless it is a kept one that has not been made yet.
    ///
    /// # Errors
    /// If the kept key cannot be read.
    pub fn existing(&self) -> Result<Option<SecretBox<[u8; 32]>>, KeyFileError> {
        match self {
            Self::Given(given) => Ok(Some(copy(given.key.expose_secret()))),
            Self::KeptBeside(path) => read(path),
        }
    }

    /// The key itself. A kept one is made if its file does not exist, and the file is never replaced: of two
    /// processes that start at once one makes the key and the other reads it.
    ///
    /// # Errors
    /// If the kept key cannot be read or made.
    pub fn obtain(&self) -> Result<SecretBox<[u8; 32]>, KeyFileError> {
        match self {
            Self::Given(given) => Ok(copy(given.key.expose_secret())),
            Self::KeptBeside(path) => match read(path)? {
                Some(key) => Ok(key),
                None => {
                    make(path)?;
                    let gone = || refusal("find", path)(io::ErrorKind::NotFound.into());
                    read(path)?.ok_or_else(gone)
                }
            },
        }
    }
}

/// Reads an entry of the list of earlier keys.
pub(super) fn previous_key(text: &str) -> Result<GivenKey, Problem> {
    given_key(text).map_err(|problem| Problem::new(format!("of one entry, {}", problem.what), PREVIOUS_REMEDY))
}

/// Reads a key of the operator's.
pub(super) fn given_key(text: &str) -> Result<GivenKey, Problem> {
    Ok(GivenKey { key: parse_key(text.trim())?, text: text.into() })
}

/// Reads base64 of 32 bytes.
fn parse_key(text: &str) -> Result<Arc<SecretBox<[u8; 32]>>, Problem> {
    let bytes = BASE64
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| Problem::new("it is not base64", format!("give it base64 of 32 random bytes: {MAKE_A_KEY}")))?;
    let key: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        let what = format!("it holds {} bytes instead of 32", bytes.len());
        Problem::new(what, format!("give it base64 of 32 random bytes: {MAKE_A_KEY}"))
    })?;
    if key.iter().all(|byte| Some(byte) == key.first()) {
        return Err(Problem::new("it is one byte repeated, which anyone can guess", MAKE_A_KEY));
    }
    Ok(Arc::new(copy(key)))
}

fn copy(key: &[u8; 32]) -> SecretBox<[u8; 32]> {
    SecretBox::init_with_mut(|place: &mut [u8; 32]| place.copy_from_slice(key))
}

fn read(path: &Path) -> Result<Option<SecretBox<[u8; 32]>>, KeyFileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refusal("open", path)(error)),
    };
    if is_open_to_others(&file.metadata().map_err(refusal("look at", path))?) {
        return Err(KeyFileError::OpenToOthers { path: path.to_owned() });
    }
    let mut text = Zeroizing::new(String::with_capacity(128));
    file.take(128).read_to_string(&mut text).map_err(refusal("read", path))?;
    let key = parse_key(text.trim())
        .map_err(|problem| KeyFileError::NoKey { path: path.to_owned(), problem: problem.what })?;
    Ok(Some(copy(key.expose_secret())))
}

/// Makes a key file, unless there is one by then. It gets its name only when it is whole and on disk.
fn make(path: &Path) -> Result<(), KeyFileError> {
    let mut key = SecretBox::new(Box::new([0; 32]));
    SystemRandom::new().fill(key.expose_secret_mut()).map_err(|_| KeyFileError::NoRandomness)?;
    let mut text = Zeroizing::new(BASE64.encode(key.expose_secret()));
    text.push('\n');

    let directory = directory_of(path);
    make_private_directory(directory).map_err(refusal("make the directory of", path))?;
    let mut file = tempfile::Builder::new()
        .prefix(".key-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .map_err(refusal("make", path))?;
    file.write_all(text.as_bytes()).map_err(refusal("write", path))?;
    file.as_file().sync_all().map_err(refusal("write", path))?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(lost) if lost.error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(lost) => return Err(refusal("name", path)(lost.error)),
    }
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(refusal("write", path))?;
    log::info!("made an encryption key and kept it in {}: back it up, apart from the database", path.display());
    Ok(())
}

fn refusal(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn kept() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("temp dir");
        let path = home.path().join("data/gateway.db.key");
        (home, path)
    }

    #[test]
    fn keys() {
        assert_eq!(parse_key(KEY).expect("good").expose_secret(), b"0123456789abcdef0123456789abcdef");
        assert!(parse_key(KEY.trim_end_matches('=')).is_ok());
        for (bad, what) in [
            ("change-me!", "not base64"),
            ("MDEyMzQ1Njc4OWFiY2RlZg==", "16 bytes"),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "repeated"),
            ("qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=", "repeated"),
        ] {
            let problem = parse_key(bad).expect_err(bad);
            assert!(problem.what.contains(what) && problem.remedy.contains("openssl rand"), "{problem:?}");
            assert!(!format!("{problem:?}").contains(bad), "{problem:?}");
        }
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let (_home, path) = kept();
        let key = EncryptionKey::KeptBeside(path.clone());
        let first = key.obtain().expect("made");
        assert_eq!(first.expose_secret(), key.obtain().expect("read").expose_secret());
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(directory_of(&path).metadata().expect("there").permissions().mode() & 0o777, 0o700);
        assert!(fs::read_to_string(&path).expect("text").ends_with("=\n"));
        assert_eq!(fs::read_dir(directory_of(&path)).expect("list").count(), 1, "nothing is left over");
    }

    #[test]
    fn those_who_start_at_once_get_the_same_key() {
        let (_home, path) = kept();
        let start = Arc::new(std::sync::Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let (key, start) = (EncryptionKey::KeptBeside(path.clone()), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    *key.obtain().expect("a key").expose_secret()
                })
            })
            .collect();
        let keys: std::collections::BTreeSet<_> = threads.into_iter().map(|one| one.join().expect("ended")).collect();
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let (_home, path) = kept();
        fs::create_dir_all(directory_of(&path)).expect("directory");
        for content in ["", "precious", &KEY.repeat(9)] {
            fs::write(&path, content).expect("write");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
            let error = EncryptionKey::KeptBeside(path.clone()).obtain().expect_err("no key");
            assert!(matches!(error, KeyFileError::NoKey { .. }), "{error}");
            assert!(content.is_empty() || !error.to_string().contains(content), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("text"), content);
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_home, path) = kept();
        let key = EncryptionKey::KeptBeside(path.clone());
        key.obtain().expect("made");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("chmod");
            let error = key.obtain().expect_err("open to others");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let given = EncryptionKey::Given(given_key(KEY).expect("good"));
        assert_eq!(format!("{given:?}"), "Given(…)");
        assert_eq!(format!("{:?}", previous_key(KEY).expect("good")), "GivenKey(…)");
    }

    #[test]
    fn the_text_of_a_key_is_kept_to_the_letter() {
        let text = format!(" {}\n", KEY.trim_end_matches('='));
        let given = EncryptionKey::Given(given_key(&text).expect("good"));
        assert_eq!(given.text().map(ExposeSecret::expose_secret), Some(&*text));
        assert_eq!(given.obtain().expect("given").expose_secret(), b"0123456789abcdef0123456789abcdef");
    }
}
