package io.vblora.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The files that a command reads, or replaces only at its end: no other output may take their place. */
final class NeededFiles {
    private final List<Path> files = new ArrayList<>();

    /** Adds a file, or all files of a folder; null is none. */
    NeededFiles add(Path path) {
        if (path != null && Files.isDirectory(path)) {
            try (var inFolder = Files.list(path)) {
                inFolder.forEach(files::add);
            } catch (IOException e) {
                throw new UncheckedIOException("The folder " + path + " cannot be read: " + e, e);
            }
        } else if (path != null) {
            files.add(path);
        }
        return this;
    }

    /** Refuses an output that is one of them. */
    void refuse(Invocation invocation, String option, Path output) {
        for (Path file : files) {
            invocation.check(!isSame(output, file), option + ": found " + output + ", which is " + file
                    + " that this command needs; expected another file");
        }
    }

    private static boolean isSame(Path output, Path file) {
        try {
            return output.toAbsolutePath().normalize().equals(file.toAbsolutePath().normalize())
                    || Files.exists(output) && Files.exists(file) && Files.isSameFile(output, file);
        } catch (IOException e) {
            throw new UncheckedIOException(output + " and " + file + " cannot be compared: " + e, e);
        }
    }
}
