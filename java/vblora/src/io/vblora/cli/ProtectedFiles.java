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
final class ProtectedFiles {
    /** A file, and its role in the command. */
    private record ProtectedFile(String what, Path file) {}

    private final List<ProtectedFile> files = new ArrayList<>();

    /** Adds a file; null is ignored. In a message, its role follows the words "which is". */
    ProtectedFiles add(String what, Path file) {
        if (file != null) {
            files.add(new ProtectedFile(what, file));
        }
        return this;
    }

    /** Adds a model's file, or all files of its folder; null is ignored. */
    ProtectedFiles addModel(String what, Path path) {
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

    /** Adds an adapter's files in its folder, including those that do not exist yet; null is ignored. */
    ProtectedFiles addAdapter(String what, Path folder) {
        if (folder != null) {
            AdapterFolder.FILES.forEach(name -> add("a file of " + what, folder.resolve(name)));
        }
        return this;
    }

    /** Refuses an output that is one of the files. */
    void refuse(Invocation invocation, String option, Path output) {
        for (ProtectedFile kept : files) {
            invocation.check(!isSame(output, kept.file), option + ": found " + output + ", which is " + kept.what
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

    /** The path without links; its end need not exist. A pipe, which has no path, keeps the one that it came by. */
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
