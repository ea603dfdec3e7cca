package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The tokenizers' native library is unpacked whole, or the process says why not. */
@Tag("slow")
class TokenizersNativeTest {
    @TempDir
    Path folder;

    @BeforeEach
    void writeTokenizer() throws IOException {
        TokenizerFixture.write(folder);
    }

    /** The cache of a home of its own; programs that only use libraries have no settings for their logs. */
    private ChildJvm open(String... options) throws IOException, InterruptedException {
        List<String> all = new ArrayList<>(List.of("-Duser.home=" + folder));
        all.addAll(List.of(options));
        return ChildJvm.run(folder, Map.of("DJL_CACHE_DIR", folder.resolve("djl").toString()), all, 60,
                OpenTokenizer.class, folder.toString(), "the bank");
    }

    private static void assertOpened(ChildJvm child) {
        assertEquals(new ChildJvm(true, 0, "[1, 3, 4]\n", ""), child);
    }

    /** The library, in whichever cache. */
    private Path library() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            List<Path> found = files.filter(file -> file.endsWith("libtokenizers.so")).toList();
            assertEquals(1, found.size(), found::toString);
            return found.get(0);
        }
    }

    private void requireUnpacking() {
        Assumptions.assumeTrue(System.getenv("RUST_LIBRARY_PATH") == null, "the library lies unpacked beside the jars");
    }

    @Test
    void opensWithoutAWord() throws IOException, InterruptedException {
        assertOpened(open());
    }

    @Test
    void unpacksALibraryAnewThatIsNotWhole() throws IOException, InterruptedException {
        requireUnpacking();
        assertOpened(open());
        Path library = library();
        byte[] whole = Files.readAllBytes(library);
        Files.write(library, new byte[0]);
        assertOpened(open());
        try (RandomAccessFile file = new RandomAccessFile(library.toFile(), "rw")) {
            file.setLength(whole.length / 2);
        }
        assertOpened(open());
        try (RandomAccessFile file = new RandomAccessFile(library.toFile(), "rw")) {
            file.seek(whole.length / 2);
            file.write(new byte[1 << 20]); // as long as it was, with a hole
        }
        assertOpened(open());
        assertEquals(-1, Files.mismatch(library, Files.write(folder.resolve("whole"), whole)));
    }

    @Test
    void saysWhichFolderCannotBeWritten() throws IOException, InterruptedException {
        requireUnpacking();
        assertOpened(open());
        Path cache = library().getParent();
        Files.delete(cache.resolve("libtokenizers.so"));
        Files.delete(cache);
        Files.createFile(cache);
        ChildJvm child = open();
        assertTrue(child.ended());
        assertNotEquals(0, child.exitCode());
        assertTrue(child.errors().contains("The native library of the tokenizers could not be loaded. It is unpacked "
                + "to JavaCPP's cache (the system property org.bytedeco.javacpp.cachedir") && child.errors().contains(
                        cache.toString()), child.errors());
    }
}
