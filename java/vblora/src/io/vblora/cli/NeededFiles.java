package io.vblora.cli;

import io.vblora.IoReason;
import io.vblora.adapter.AdapterFolder;
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
                throw new UncheckedIOException("The folder " + path + " cannot be read: " + IoReason.of(e), e);
            }
        } else if (path != null) {
            files.add(path);
        }
        return this;
    }

    /** Adds an adapter's files in its folder, also those that are not there yet; null is none. */
    NeededFiles addAdapter(Path folder) {
        if (folder != null) {
            AdapterFolder.FILES.forEach(name -> add(folder.resolve(name)));
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
            return real(output).equals(real(file))
                    || Files.exists(output) && Files.exists(file) && Files.isSameFile(output, file);
        } catch (IOException e) {
            throw new UncheckedIOException(output + " and " + file + " cannot be compared: " + IoReason.of(e), e);
        }
    }

    /** The path without links, of which the end need not be there; of a pipe, which has no path, the one it came by. */
    static Path real(Path path) {
        Path absolute = path.toAbsolutePath();
        if (!Files.exists(absolute) && absolute.getParent() != null) {
            return real(absolute.getParent()).resolve(absolute.getFileName()).normalize();
        }
        try {
            return absolute.toRealPath();
        } catch (IOException e) {
            return absolute.normalize();
        }
    }
}
