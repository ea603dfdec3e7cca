package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class IoReasonTest {
    @TempDir
    Path folder;

    private static String reason(Executable failing) {
        return IoReason.of(assertThrows(IOException.class, failing));
    }

    /** As the system and the JDK throw them. */
    @Test
    void saysInWordsWhatJavaNamesByAClass() throws IOException {
        Path file = Files.createFile(folder.resolve("file (1)"));
        Path missing = folder.resolve("missing (2)");
        assertEquals("no such file or folder", reason(() -> Files.newInputStream(missing)));
        assertEquals("No such file or directory", reason(() -> new FileOutputStream(missing + "/file")));
        assertEquals("Is a directory", reason(() -> new FileOutputStream(folder.toFile())));
        assertEquals("it exists already", reason(() -> Files.createFile(file)));
        assertEquals("not a folder", reason(() -> Files.newDirectoryStream(file)));
        assertEquals("the folder is not empty", reason(() -> Files.delete(folder)));
        assertEquals("Is a directory", reason(() -> Files.newOutputStream(folder, StandardOpenOption.WRITE)));
        assertEquals("permission denied", IoReason.of(new AccessDeniedException(file.toString())));
    }

    @Test
    void takesTheMessageWhereThereIsNothingElse() {
        assertEquals("Input/output error", IoReason.of(new IOException("Input/output error")));
        assertEquals("IOException", IoReason.of(new IOException()));
        assertEquals("FileSystemException", IoReason.of(new FileSystemException("/a")));
    }
}
