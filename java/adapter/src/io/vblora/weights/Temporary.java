package io.vblora.weights;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A file that is being written under the name {@code .NAME.ID.tmp}, to be renamed once it is complete; or a folder of
 * such files, one of which is locked for all. The lock is held until this is closed. So whoever writes next can tell
 * what is being written from what a killed process has left behind, and removes only the latter.
 */
final class Temporary implements AutoCloseable {
    private static final int ATTEMPTS = 100;
    /**
     * The IDs in use by this process. Closing a file releases all locks that its process holds on it, so files with
     * these IDs must not be opened to test their locks.
     */
    private static final Set<String> IDS_OF_THIS_PROCESS = ConcurrentHashMap.newKeySet();

    private final String id;
    private final Path path;
    private final FileChannel channel;

    private Temporary(String id, Path path, FileChannel channel) {
        this.id = id;
        this.path = path;
        this.channel = channel;
    }

    /** Makes an empty file for the new content of {@code name}. */
    static Temporary file(Path folder, String name) throws IOException {
        return create(folder, name, null);
    }

    /** Makes a folder that will get the name {@code name}, with an empty file {@code locked} in it. */
    static Temporary folder(Path folder, String name, String locked) throws IOException {
        return create(folder, name, locked);
    }

    private static Temporary create(Path folder, String name, String locked) throws IOException {
        for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
            String id = Long.toUnsignedString(ThreadLocalRandom.current().nextLong(), 36);
            IDS_OF_THIS_PROCESS.add(id);
            try {
                Temporary made = tryCreate(id, folder.resolve("." + name + "." + id + ".tmp"), locked);
                if (made != null) {
                    return made;
                }
            } catch (IOException | RuntimeException | Error e) {
                IDS_OF_THIS_PROCESS.remove(id);
                throw e;
            }
            IDS_OF_THIS_PROCESS.remove(id);
        }
        throw new IOException("temporary files are removed as soon as they are made");
    }

    /** Null if another process has removed it as left behind, before it was locked. */
    private static Temporary tryCreate(String id, Path path, String locked) throws IOException {
        deleteOnExit(path);
        if (locked != null) {
            Files.createDirectory(path);
        }
        Path file = locked == null ? path : path.resolve(locked);
        deleteOnExit(file);
        FileChannel channel;
        try {
            channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        } catch (NoSuchFileException e) {
            if (locked != null && !Files.exists(path)) {
                return null;
            }
            throw e;
        }
        Temporary made = new Temporary(id, path, channel);
        boolean isOurs = false;
        try {
            isOurs = isLocked(channel) && Files.exists(file);
        } finally {
            if (!isOurs) {
                made.close();
            }
        }
        return isOurs ? made : null;
    }

    /** Also true where files cannot be locked: nobody can mistake a file for one left behind there. */
    private static boolean isLocked(FileChannel channel) throws ClosedByInterruptException {
        try {
            return channel.tryLock() != null;
        } catch (ClosedByInterruptException e) {
            throw e;
        } catch (IOException e) {
            return true;
        }
    }

    /** Makes sure that a file or folder is removed, if it is still there, when a signal ends the process. */
    static void deleteOnExit(Path path) {
        path.toFile().deleteOnExit();
    }

    /** Where the file or folder lies until it is renamed. */
    Path path() {
        return path;
    }

    /** The locked file, open for writing. */
    FileChannel channel() {
        return channel;
    }

    /** Removes the file or folder if it has not been renamed. */
    @Override
    public void close() throws IOException {
        try (channel) {
            delete(path, null);
        } finally {
            IDS_OF_THIS_PROCESS.remove(id);
        }
    }

    /**
     * Removes temporary files for {@code name}, or folders with a file {@code locked}, that killed processes have left
     * behind. What cannot be removed stays: it does no harm, and the next writer tries again.
     */
    static void clear(Path folder, String name, String locked) {
        Pattern temporary = Pattern.compile(Pattern.quote("." + name + ".") + "([0-9a-z]{1,13})\\.tmp");
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder)) {
            for (Path entry : entries) {
                Matcher matcher = temporary.matcher(entry.getFileName().toString());
                if (matcher.matches() && !IDS_OF_THIS_PROCESS.contains(matcher.group(1))) {
                    clear(entry, locked);
                }
            }
        } catch (IOException | DirectoryIteratorException e) {
            // As above
        }
    }

    private static void clear(Path entry, String locked) {
        if (Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS) != (locked != null)) {
            return;
        }
        Path file = locked == null ? entry : entry.resolve(locked);
        try {
            if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
                Files.delete(entry); // fails if there is anything else in it
                return;
            }
            if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
                return; // not ours; opening a pipe would wait for its reader
            }
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);
                    FileLock lock = channel.tryLock()) {
                if (lock != null) {
                    delete(entry, file);
                }
            }
        } catch (IOException | OverlappingFileLockException e) {
            // As above
        }
    }

    /**
     * Deletes a file, or a folder of files, the file {@code last} after the others; null if the order does not matter.
     */
    private static void delete(Path path, Path last) throws IOException {
        if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            try (DirectoryStream<Path> files = Files.newDirectoryStream(path)) {
                for (Path file : files) {
                    if (!file.equals(last)) {
                        Files.deleteIfExists(file);
                    }
                }
            }
            if (last != null) {
                Files.deleteIfExists(last);
            }
        }
        Files.deleteIfExists(path);
    }
}
