package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.IoReason;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The folder that a run writes at its end. Folders that had to be made for it are removed if nothing is in them when
 * this is closed or when a signal ends the process.
 */
final class OutputFolder implements AutoCloseable {
    /** The folders that were made, the deepest first. */
    private final Deque<Path> made = new ArrayDeque<>();

    /**
     * Makes the folder, and fails now rather than after the training if it cannot be written.
     *
     * @throws InputException if something other than a folder is there
     * @throws UncheckedIOException if it cannot be made or written
     */
    OutputFolder(Path folder) {
        if (Files.exists(folder) && !Files.isDirectory(folder)) {
            throw new InputException("--output", "", folder + ", which is not a folder",
                    "a folder, or the name of a new one");
        }
        Deque<Path> missing = new ArrayDeque<>();
        for (Path path = folder.toAbsolutePath().normalize(); path != null && !Files.exists(path);
                path = path.getParent()) {
            missing.push(path);
        }
        try {
            for (Path path : missing) {
                Files.createDirectory(path);
                made.push(path);
                path.toFile().deleteOnExit(); // does nothing to a folder that is not empty
            }
            Files.delete(Files.createTempFile(folder, ".vblora", ".tmp"));
        } catch (IOException e) {
            close();
            throw new UncheckedIOException("The folder of --output, " + folder + ", cannot be written: "
                    + IoReason.of(e), e);
        }
    }

    /**
     * Refuses a folder in which an adapter would replace something that is not an adapter: the model's folder, and one
     * where a file has the name of an adapter's file, but there is no adapter. An interrupted save in the folder is
     * finished, or refused.
     */
    static void checkForAdapter(Invocation invocation, Path folder, Path model) {
        Path modelFolder = Files.isRegularFile(model) ? model.toAbsolutePath().getParent() : model;
        invocation.check(!ProtectedFiles.real(folder).equals(ProtectedFiles.real(modelFolder)), "--output: found "
                + folder
                + ", which is the folder of --model; expected another one");
        AdapterFolder.files(folder).finish();
        Path task = folder.resolve(AdapterFolder.TASK_FILE);
        if (Files.exists(task) && !Files.exists(folder.resolve(AdapterConfig.FILE_NAME))) {
            throw new InputException("--output", "", task + " without " + AdapterConfig.FILE_NAME + ", so not an "
                    + "adapter's", "a folder in which no other file has that name: an adapter's would take its place");
        }
    }

    @Override
    public void close() {
        made.forEach(path -> path.toFile().delete());
    }
}
