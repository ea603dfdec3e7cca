package io.vblora.cli;

import io.vblora.IoReason;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;

/**
 * Values of options that name data: a file, which may be a pipe, or {@code -} for standard input. Data is read once,
 * from its beginning to its end.
 */
final class DataFile implements ITypeConverter<Path> {
    private static final Path STANDARD_INPUT = Path.of("/dev/stdin");

    @Override
    public Path convert(String text) {
        return text.equals("-") ? STANDARD_INPUT : Main.path(text);
    }

    /** Whether both are the same pipe, or another file that gives its data only once. */
    static boolean areOnePipe(Path a, Path b) {
        try {
            return Files.exists(a) && Files.exists(b) && !Files.isRegularFile(a) && !Files.isDirectory(a)
                    && Files.isSameFile(a, b);
        } catch (IOException e) {
            throw new UncheckedIOException(a + " and " + b + " cannot be compared: " + IoReason.of(e), e);
        }
    }
}
