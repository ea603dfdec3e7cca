package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.VBL_INVALID_ARGUMENT;
import static io.vblora.kernels.global.vblora.VBL_IO_ERROR;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.Charset;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.BytePointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class NativeFileTest {
    @TempDir
    Path folder;

    private static byte[] read(NativeFile file, long offset, int bytes) {
        try (BytePointer memory = new BytePointer(Math.max(1, bytes))) {
            file.read(offset, memory, bytes);
            byte[] result = new byte[bytes];
            memory.get(result);
            return result;
        }
    }

    @Test
    void readsAtOffsetsFromSeveralThreads() throws IOException {
        byte[] content = new byte[100_000];
        new Random(1).nextBytes(content);
        String name = "größe.bin";
        Prerequisite.check(Charset.forName(System.getProperty("sun.jnu.encoding")).newEncoder().canEncode(name),
                "a locale that can name a file " + name + ", such as C.UTF-8");
        Path path = Files.write(folder.resolve(name), content);
        try (NativeFile file = new NativeFile(path)) {
            assertEquals(content.length, file.size());
            assertEquals(0, read(file, content.length, 0).length);
            IntStream.range(0, 500).parallel().forEach(i -> {
                int offset = i * 197;
                assertArrayEquals(Arrays.copyOfRange(content, offset, offset + 1000), read(file, offset, 1000));
            });
        }
    }

    @Test
    void whatCannotBeOpenedIsNamed() {
        for (Path path : new Path[] {folder.resolve("missing"), folder}) {
            KernelException e = assertThrows(KernelException.class, () -> new NativeFile(path));
            assertEquals(VBL_IO_ERROR, e.status());
            assertTrue(e.getMessage().contains(path.toString()), e::getMessage);
        }
    }

    @Test
    void readingPastTheEndFails() throws IOException {
        Path path = Files.write(folder.resolve("file"), new byte[100]);
        try (NativeFile file = new NativeFile(path)) {
            assertEquals(VBL_IO_ERROR, assertThrows(KernelException.class, () -> read(file, 50, 51)).status());
            assertEquals(VBL_INVALID_ARGUMENT, assertThrows(KernelException.class, () -> read(file, -1, 1)).status());
            try (RandomAccessFile writer = new RandomAccessFile(path.toFile(), "rw")) {
                writer.setLength(60); // cut while open
            }
            assertEquals(VBL_IO_ERROR, assertThrows(KernelException.class, () -> read(file, 50, 50)).status());
            assertEquals(10, read(file, 50, 10).length);
        }
    }

    @Test
    void isUnusableAfterClose() throws IOException {
        NativeFile file = new NativeFile(Files.write(folder.resolve("file"), new byte[1]));
        file.close();
        file.close();
        assertThrows(IllegalStateException.class, () -> read(file, 0, 1));
    }
}
