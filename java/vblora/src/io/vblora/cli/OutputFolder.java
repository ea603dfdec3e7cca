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
 * The folder that a run writes at its end. Folders that had to be made for it are removed again when it is closed, or
 * the process ended by a signal, with nothing in it.
 */
final class OutputFolder implements AutoCloseable {
    /** The deepest first. */
    private final Deque<Path> made = new ArrayDeque<>();

    /**
     * Makes the folder, and fails now rather than after the training if it cannot be written.
     *
     * @throws InputException if it is something else than a folder
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
     * Refuses a folder in which an adapter would take something's place that is none: the model's, and one where a file
     * has the name of an adapter's, but no adapter is. An interrupted save in it is finished, or refused.
     */
    static void checkForAdapter(Invocation invocation, Path folder, Path model) {
        Path modelFolder = Files.isRegularFile(model) ? model.toAbsolutePath().getParent() : model;
        invocation.check(!NeededFiles.real(folder).equals(NeededFiles.real(modelFolder)), "--output: found " + folder
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
