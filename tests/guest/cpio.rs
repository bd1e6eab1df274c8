//! A cpio archive in the "new ascii" format, which a kernel unpacks as its first root filesystem.
//!
//! Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

/// Fields and data are aligned to four bytes.
const ALIGNMENT: usize = 4;
/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive in the making. Paths have no leading slash, and come after the directory that they are in.
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), entries: 0 }
    }

    pub(crate) fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY, (0, 0), &[]);
    }

    /// A file that everybody may run.
    pub(crate) fn program(&mut self, path: &str, content: &[u8]) {
        self.entry(path, PROGRAM, (0, 0), content);
    }

    pub(crate) fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER_DEVICE, (major, minor), &[]);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let (inode, links, length, name_length) = (self.entries, 1, content.len(), path.len() + 1);
        // Owner, group and time are 0; the file itself is on device 0:0; no checksum.
        let header = format!(
            "070701{inode:08X}{mode:08X}{:08X}{:08X}{links:08X}{:08X}{length:08X}{:08X}{:08X}{:08X}{:08X}{name_length:08X}{:08X}",
            0, 0, 0, 0, 0, device.0, device.1, 0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

#[test]
fn names_and_contents_of_every_length_are_aligned() {
    for name in ["a", "ab", "abc", "abcd", "abcde"] {
        for length in 0..6 {
            let mut archive = Archive::new();
            archive.program(name, &vec![b'x'; length]);
            let bytes = archive.finish();
            let text = String::from_utf8(bytes).unwrap();
            // The header is 110 bytes long; a 0 ends the name.
            let content = (110 + name.len() + 1).next_multiple_of(ALIGNMENT);
            assert!(text[110..].starts_with(&format!("{name}\0")), "{text:?}");
            assert_eq!(text[content..].find(|c| c != 'x'), Some(length), "{text:?}");
            let next = (content + length).next_multiple_of(ALIGNMENT);
            assert!(text[next..].starts_with("070701") && text[next + 110..].starts_with(TRAILER), "{text:?}");
        }
    }
}
