package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.kernels.Stream;
import io.vblora.weights.InterruptedSave;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AdapterFolderTest extends WithStream {
    @TempDir
    Path temporary;

    private Path folder;

    @BeforeEach
    void folder() {
        folder = temporary.resolve("adapter");
    }

    /** An adapter of which configuration, shapes of tensors and task say one number. */
    private static Adapter numbered(int numVectors, Stream stream) {
        Adapter adapter = Adapter.create(VbLoraConfig.builder().targetModules(List.of("up")).r(2).numVectors(numVectors)
                .vectorLength(4).build(), List.of(new ModuleShape("up", 8, 12)), stream, 5);
        adapter.setTaskConfig(task(numVectors));
        return adapter;
    }

    private static byte[] task(int number) {
        return ("{\"number\": " + number + "}").getBytes(StandardCharsets.UTF_8);
    }

    private void save(Path where, int numVectors) {
        try (Adapter adapter = numbered(numVectors, stream)) {
            adapter.save(where, true, stream);
        }
    }

    private static int number(AdapterConfig config, byte[] task) {
        int number = ((VbLoraConfig) config).numVectors();
        assertArrayEquals(task(number), task);
        return number;
    }

    @Test
    void anAdapterTakesItsTaskAlong() throws IOException {
        save(folder, 6);
        Path copy = temporary.resolve("copy");
        try (Adapter adapter = Adapter.load(folder, stream)) {
            assertEquals(6, number(adapter.config(), adapter.taskConfig().orElseThrow()));
            adapter.save(copy, true, stream);
        }
        assertArrayEquals(task(6), Files.readAllBytes(copy.resolve("task_config.json")));
        try (Adapter other = numbered(7, stream)) {
            other.setTaskConfig(null);
            other.save(copy, false, stream);
        }
        assertFalse(Files.exists(copy.resolve("task_config.json")), "that of another adapter");
        try (Adapter adapter = Adapter.load(copy, stream)) {
            assertEquals(Optional.empty(), adapter.taskConfig());
        }
    }

    @Test
    void whoeverOpensTheFolderFinishesASaveThatWasInterrupted() throws IOException {
        Path newer = temporary.resolve("newer");
        save(newer, 7);
        for (boolean isFirst : new boolean[] {true, false}) {
            if (!isFirst) {
                save(folder, 6);
            }
            InterruptedSave.leave(folder, AdapterFolder.FILES, newer);
            assertEquals(!isFirst, Files.exists(folder.resolve("adapter_config.json")));
            assertEquals(7, ((VbLoraConfig) AdapterConfig.read(folder)).numVectors());
            save(folder, 6);
            InterruptedSave.leave(folder, AdapterFolder.FILES, newer);
            try (Adapter adapter = Adapter.load(folder, stream)) {
                assertEquals(7, number(adapter.config(), adapter.taskConfig().orElseThrow()));
            }
            assertEquals(3, folder.toFile().list().length);
            for (String name : AdapterFolder.FILES) {
                Files.delete(folder.resolve(name));
            }
        }
    }

    @Test
    void anAdapterThatWasReplacedMeanwhileIsNotTakenForTheOther() {
        save(folder, 6);
        AdapterFolder read = AdapterFolder.read(folder);
        assertEquals(6, number(read.config(), read.taskConfig()));
        read.load(List.of(), stream).close();
        save(folder, 7);
        InputException e = assertThrows(InputException.class, () -> read.load(List.of(), stream));
        assertTrue(e.getMessage().startsWith(folder + ": found an adapter that was replaced by another one"),
                e.getMessage());
    }

    @Test
    void aFolderThatSaysAllLinearIsTheAdapterThatItWasReadAs() throws IOException {
        save(folder, 6);
        Path config = folder.resolve(AdapterConfig.FILE_NAME);
        for (String allLinear : List.of("\"all-linear\"", "null")) {
            save(folder, 6);
            String json = Files.readString(config);
            String stored = json.replaceFirst("\"target_modules\": \\[[^]]*\\]", "\"target_modules\": " + allLinear);
            assertFalse(stored.equals(json), json);
            Files.writeString(config, stored);
            try (Adapter adapter = AdapterFolder.read(folder).load(List.of(), stream)) {
                assertEquals("[\"up\"]", adapter.config().json().get("target_modules").toString(), allLinear);
            }
        }
    }

    @Test
    void readersBesideAWriterSeeOneSaveOrAnother() throws Exception {
        save(folder, 6);
        AtomicBoolean stop = new AtomicBoolean();
        CompletableFuture<Void> writer = CompletableFuture.runAsync(() -> {
            try (Stream own = Stream.cpu(1);
                    Adapter a = numbered(6, own);
                    Adapter b = numbered(300, own)) {
                for (int i = 0; !stop.get(); i++) {
                    (i % 2 == 0 ? b : a).save(folder, i % 3 == 0, own);
                    Thread.yield();
                }
            }
        });
        Set<Integer> seen = new TreeSet<>();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        for (int i = 0; (i < 50 || seen.size() < 2) && System.nanoTime() < end; i++) {
            try (Adapter adapter = Adapter.load(folder, stream)) {
                seen.add(number(adapter.config(), adapter.taskConfig().orElseThrow()));
            }
            AdapterFolder read = AdapterFolder.read(folder);
            seen.add(number(read.config(), read.taskConfig()));
        }
        stop.set(true);
        writer.get(1, TimeUnit.MINUTES);
        assertEquals(Set.of(6, 300), seen);
    }
}
