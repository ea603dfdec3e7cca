package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.WholeFile;
import io.vblora.kernels.Stream;
import io.vblora.weights.FileGroup;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * What an adapter's folder says about the adapter, read from one and the same save.
 *
 * @param taskConfig content of {@value #TASK_FILE}; null if there is no such file
 */
public record AdapterFolder(Path path, AdapterConfig config, byte[] taskConfig) {
    /** Name of the file beside an adapter that says what it was trained for. */
    public static final String TASK_FILE = "task_config.json";
    /** Names of all files that {@link Adapter#save} writes or removes. */
    public static final List<String> FILES = List.of(AdapterConfig.FILE_NAME, Adapter.WEIGHTS_FILE, TASK_FILE);

    private static final int MAX_TASK_BYTES = 16 << 20;

    /** The files of an adapter in a folder, which are written and read together. */
    public static FileGroup files(Path folder) {
        return new FileGroup(folder, FILES::contains);
    }

    /**
     * Reads everything except the tensors.
     *
     * @throws InputException naming file, key, what was found and what was expected
     */
    public static AdapterFolder read(Path folder) {
        return files(folder).read(() -> new AdapterFolder(folder, AdapterConfig.read(folder), readTaskConfig(folder)));
    }

    /** Null if there is none. The caller makes sure that it is of the same save as other files. */
    static byte[] readTaskConfig(Path folder) {
        Path file = folder.resolve(TASK_FILE);
        return Files.exists(file) ? WholeFile.read(file, "a JSON file", MAX_TASK_BYTES) : null;
    }

    /**
     * Loads the adapter that this is about, as {@link Adapter#load(Path, List, Stream)} does.
     *
     * @throws InputException also if it has been replaced by another one since this was read
     */
    public Adapter load(List<ModelParameter> parameters, Stream stream) {
        Adapter adapter = Adapter.load(path, parameters, stream);
        AdapterConfig expected = config.withAdapted(adapter.modules().stream().map(AdaptedModule::path).toList());
        if (!adapter.config().equals(expected) || !Arrays.equals(adapter.taskConfig().orElse(null), taskConfig)) {
            adapter.close();
            throw new InputException(path, "", "an adapter that was replaced by another one while it was being read",
                    "one that stays as it is");
        }
        return adapter;
    }
}
