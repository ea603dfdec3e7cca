package io.vblora.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * What a file is recognised by after it was renamed, or copied together with its times; for a link, the link's own.
 *
 * @param size bytes
 * @param modified when it was last written, in milliseconds since 1970 in UTC
 */
record FileStamp(long size, long modified) {
    /** How exactly archives and simple file systems store times. */
    private static final long TOLERANCE_MILLIS = 2000;

    /** Null if the file does not exist. */
    static FileStamp of(Path file) throws IOException {
        try {
            BasicFileAttributes found = Files.readAttributes(file, BasicFileAttributes.class,
                    LinkOption.NOFOLLOW_LINKS);
            return new FileStamp(found.size(), found.lastModifiedTime().toMillis());
        } catch (NoSuchFileException e) {
            return null;
        }
    }

    /** Whether both can be of the same file; null is of no file. */
    static boolean match(FileStamp a, FileStamp b) {
        return a == null || b == null ? a == b
                : a.size == b.size && Math.abs(a.modified - b.modified) <= TOLERANCE_MILLIS;
    }
}
