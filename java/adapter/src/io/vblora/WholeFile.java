package io.vblora;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/** Reads whole files into memory. */
public final class WholeFile {
    private WholeFile() {}

    /**
     * The bytes of a regular file. Pipes and devices are refused, because reading them may never end.
     *
     * @param expected what it should be, for messages
     * @param maxBytes its largest size; a file that grows meanwhile, or reports no size, is not read beyond it
     * @throws InputException if there is none, if it is not a regular file or if it is larger
     * @throws UncheckedIOException naming the file, if it cannot be read
     */
    public static byte[] read(Path file, String expected, int maxBytes) {
        try {
            BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
            if (!attributes.isRegularFile()) {
                throw new InputException(file, "", attributes.isDirectory() ? "a folder" : "not a regular file",
                        expected);
            }
            if (attributes.size() > maxBytes) {
                throw tooLarge(file, attributes.size() + " bytes", expected, maxBytes);
            }
            try (InputStream in = Files.newInputStream(file)) {
                byte[] content = in.readNBytes(maxBytes);
                if (content.length == maxBytes && in.read() >= 0) {
                    throw tooLarge(file, "more than " + maxBytes + " bytes", expected, maxBytes);
                }
                return content;
            }
        } catch (NoSuchFileException e) {
            throw new InputException(file, "", "no such file", expected);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " could not be read: " + IoReason.of(e), e);
        }
    }

    private static InputException tooLarge(Path file, String found, String expected, int maxBytes) {
        return new InputException(file, "", found, expected + " of at most " + maxBytes + " bytes");
    }
}
