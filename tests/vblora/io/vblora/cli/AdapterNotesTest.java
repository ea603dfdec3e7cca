package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.JsonFields;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every command that loads an adapter says what of it has no effect. */
class AdapterNotesTest {
    private static final Path OWN = Golden.own("traj/tinyrand_b16/adapter_init");
    private static final Path MODEL = Golden.own("models/tinyrand");

    @TempDir
    private Path folder;
    private Path adapter;
    private Path data;
    private String note;

    @BeforeEach
    void write() throws IOException {
        adapter = Files.createDirectory(folder.resolve("adapter"));
        Files.copy(OWN.resolve(Adapter.WEIGHTS_FILE), adapter.resolve(Adapter.WEIGHTS_FILE));
        Path config = adapter.resolve(AdapterConfig.FILE_NAME);
        Files.writeString(config, JsonFields.read(OWN.resolve(AdapterConfig.FILE_NAME)).object()
                .put("use_rslora", true).toString());
        data = Files.writeString(folder.resolve("data.jsonl"), "{\"input_ids\": [1, 2, 3, 4]}\n");
        note = "vblora: " + config + ": \"use_rslora\": without effect, not among the keys of VBLORA.\n";
    }

    @Test
    void everyCommandSaysThem() {
        Path delta = folder.resolve("delta.safetensors");
        for (CommandLineRun run : List.of(
                CommandLineRun.of("inspect", adapter),
                CommandLineRun.of("delta", "--adapter", adapter, "--output", delta),
                CommandLineRun.of("evaluate", "--model", MODEL, "--adapter", adapter, "--data", data),
                CommandLineRun.of("finetune", "--model", MODEL, "--init-adapter", adapter, "--train", data,
                        "--output", folder.resolve("output"), "--max-steps", 1))) {
            assertTrue(run.assertDone().err().contains(note), run::toString);
            assertFalse(run.out().contains("without effect"), run::toString);
        }
    }

    @Test
    void anAdapterWithoutSuchKeysHasNone() {
        assertFalse(CommandLineRun.of("inspect", OWN).assertDone().err().contains("without effect"));
    }
}
