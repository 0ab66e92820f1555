//! File systems of a test's own: small ones that fill up, and ones that lose their power.
//!
//! They take root. Where that is missing, or the kernel lacks what they need, there is none, and
//! the test says that it was skipped.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use tempfile::TempDir;

/// A file system that is mounted as long as this lives. Whoever has files open on it goes first.
#[derive(Debug)]
pub struct Mount {
    dir: TempDir,
    /// The image of a disk; a file system in memory has none.
    image: Option<PathBuf>,
}

impl Mount {
    /// In memory, with room for so many KiB.
    pub fn small(kib: usize) -> Option<Self> {
        Self::small_in(Path::new("/tmp"), kib)
    }

    /// The same, below a directory of one's own.
    pub fn small_in(parent: &Path, kib: usize) -> Option<Self> {
        let mount = Self { dir: directory(parent), image: None };
        fs::create_dir(mount.path()).expect("a new directory");
        let size = format!("size={kib}k");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(mount.path());
        ran(&mut command).then_some(mount)
    }

    /// On a disk whose power can be cut, with room for so many MiB.
    pub fn disk(mib: u64) -> Option<Self> {
        Self::disk_in(Path::new("/tmp"), mib)
    }

    /// The same, below a directory of one's own.
    pub fn disk_in(parent: &Path, mib: u64) -> Option<Self> {
        let dir = directory(parent);
        let image = dir.path().join("image");
        let mount = Self { image: Some(image.clone()), dir };
        fs::create_dir(mount.path()).expect("a new directory");
        let file = File::create(&image).and_then(|file| file.set_len(mib << 20));
        file.expect("/tmp takes a sparse file");
        (ran(Command::new("mkfs.ext4").arg("-q").arg(&image)) && mount.mount_image())
            .then_some(mount)
    }

    fn mount_image(&self) -> bool {
        let image = self.image.as_ref().expect("it is a disk");
        ran(Command::new("mount").args(["-o", "loop"]).arg(image).arg(self.path()))
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// Takes all room that is left.
    pub fn fill(&self) {
        let mut ballast = File::options();
        let ballast = ballast.create(true).append(true).open(self.ballast());
        let mut ballast = ballast.expect("a file without content takes no room");
        for size in [64 * 1024, 4 * 1024, 1] {
            let piece = vec![1; size];
            let full = loop {
                if let Err(error) = ballast.write_all(&piece) {
                    break error;
                }
            };
            assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
        }
    }

    /// Gives it back.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Cuts the power: what was not synced is gone, and nothing can be written any more.
    pub fn cut_power(&self) {
        /// `FS_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`. What Rust has of ioctls is unsafe.
        const SCRIPT: &str = r#"
            open(my $root, "<", $ARGV[0]) or die "open: $!";
            my $flags = pack("I", 2);
            ioctl($root, 0x8004587d, $flags) or die "ioctl: $!";
        "#;
        let status = Command::new("perl").args(["-e", SCRIPT]).arg(self.path()).status();
        assert!(status.expect("perl is essential in Debian").success(), "the power is still on");
    }

    /// Turns it on again, when all who had files open are gone.
    pub fn power_on(&self) {
        unmount(&self.path());
        assert!(self.mount_image(), "it could be mounted before");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(&self.path());
    }
}

/// Whether a command succeeds; if not, it says so.
fn ran(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).status();
    let is_done = status.as_ref().is_ok_and(ExitStatus::success);
    if !is_done {
        // Not by a macro: of tests that pass, what these print is not shown.
        let _ = writeln!(io::stderr(), "skipped: {command:?} ended with {status:?}");
    }
    is_done
}

fn unmount(path: &Path) {
    // Nothing can be done about a failure, and most are that nothing is mounted there.
    let _ = Command::new("umount").arg(path).stderr(Stdio::null()).status();
}

fn directory(parent: &Path) -> TempDir {
    let dir = tempfile::Builder::new().prefix("distdb-mount-").tempdir_in(parent);
    dir.expect("it takes a directory")
}
