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
    /** A file, and what it is to the command. */
    private record Needed(String what, Path file) {}

    private final List<Needed> files = new ArrayList<>();

    /** Adds a file; null is none. What it is to the command stands behind "which is" in a message. */
    NeededFiles add(String what, Path file) {
        if (file != null) {
            files.add(new Needed(what, file));
        }
        return this;
    }

    /** Adds the file of a model, or all files of its folder; null is none. */
    NeededFiles addModel(String what, Path path) {
        if (path != null && Files.isDirectory(path)) {
            try (var inFolder = Files.list(path)) {
                inFolder.forEach(file -> add("a file of " + what, file));
            } catch (IOException e) {
                throw new UncheckedIOException("The folder " + path + " cannot be read: " + IoReason.of(e), e);
            }
            return this;
        }
        return add(what, path);
    }

    /** Adds an adapter's files in its folder, also those that are not there yet; null is none. */
    NeededFiles addAdapter(String what, Path folder) {
        if (folder != null) {
            AdapterFolder.FILES.forEach(name -> add("a file of " + what, folder.resolve(name)));
        }
        return this;
    }

    /** Refuses an output that is one of them. */
    void refuse(Invocation invocation, String option, Path output) {
        for (Needed needed : files) {
            invocation.check(!isSame(output, needed.file), option + ": found " + output + ", which is " + needed.what
                    + "; expected another file");
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
