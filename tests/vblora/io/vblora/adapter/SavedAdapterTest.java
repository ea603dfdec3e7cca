package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.vblora.Golden;
import io.vblora.kernels.Stream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Adapters that an earlier version saved: tests/golden/saved/README.md says how they were made. */
class SavedAdapterTest {
    private static final Path FOLDER = Golden.own("saved");

    @TempDir
    private Path temporary;

    static List<String> folders() throws IOException {
        try (var entries = Files.list(FOLDER)) {
            return entries.filter(Files::isDirectory).map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    @ParameterizedTest
    @MethodSource("folders")
    void givesTheSameBits(String name) throws IOException {
        Path saved = FOLDER.resolve(name);
        try (Stream stream = Stream.cpu(1); Adapter adapter = Adapter.load(saved, stream)) {
            assertEquals(List.of(), adapter.notes());
            Path delta = temporary.resolve("delta.safetensors");
            adapter.writeDelta(delta, stream);
            assertSameFile(saved.resolve("delta.safetensors"), delta);
            adapter.save(temporary, name.contains("topk"), stream);
            assertSameFile(saved.resolve(Adapter.WEIGHTS_FILE), temporary.resolve(Adapter.WEIGHTS_FILE));
            // Since then "all-linear" is stored as the paths of what is adapted.
            AdapterConfig config = AdapterConfig.read(saved).withAdapted(
                    adapter.modules().stream().map(AdaptedModule::path).toList());
            assertEquals(config.toString(), Files.readString(temporary.resolve(AdapterConfig.FILE_NAME)));
        }
    }

    private static void assertSameFile(Path expected, Path found) throws IOException {
        assertArrayEquals(Files.readAllBytes(expected), Files.readAllBytes(found), found.toString());
    }
}
