package io.vblora.cli;

import io.vblora.InputException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A file that a command writes at its end. */
final class OutputFile {
    private OutputFile() {}

    /**
     * Fails now rather than after the work if the file cannot be written.
     *
     * @throws InputException if it is a folder, or if the folder that should hold it is missing or cannot be written
     */
    static void check(String option, Path file) {
        Path folder = file.toAbsolutePath().getParent();
        String wrong = Files.isDirectory(file) ? ", which is a folder"
                : !Files.isDirectory(folder) ? ", whose folder does not exist"
                : !Files.exists(file) && !Files.isWritable(folder) ? ", whose folder cannot be written"
                : "";
        if (!wrong.isEmpty()) {
            throw new InputException(option, "", file + wrong, "a file in a folder that exists");
        }
    }
}
