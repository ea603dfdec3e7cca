package io.vblora.weights;

import io.vblora.InputException;
import io.vblora.IoReason;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;

/**
 * Files of a folder that belong together. They are replaced together and read together, so that whatever happens on the
 * way, nobody sees some files of one save beside some of another.
 *
 * <p>A save writes all new files into a hidden folder and flushes them to the disk. Renaming that folder to {@value
 * SaveJournal#FOLDER} decides: before it the folder holds the old files, after it the new ones, although these are
 * moved to their places one by one. If a process is killed in between, whoever opens the folder next by {@link #read},
 * {@link #finish} or {@link #replace} does the rest. What a process leaves behind that was killed before the decision
 * is removed by the next save. Processes and threads may save and read at the same time.
 */
public final class FileGroup {
    private static final int ATTEMPTS = 50;
    /** How long others may take to put files in their places, for which they only rename them. */
    private static final long PATIENCE_MILLIS = 10_000;
    /** How long a folder is watched that seems to need something we cannot do: others may be doing just that. */
    private static final long DOUBT_MILLIS = 500;
    private static final long PAUSE_MILLIS = 5;

    /** Serialises threads, between which file locks have no effect. */
    private static final ReentrantLock CARRYING_OUT = new ReentrantLock();

    private final Path folder;
    private final Predicate<String> names;
    private final Consumer<String> steps;

    /** @param names tells whether a file of this name, if it is in the folder, belongs to the group */
    public FileGroup(Path folder, Predicate<String> names) {
        this(folder, names, step -> {});
    }

    /** @param steps told of each step before it is made */
    FileGroup(Path folder, Predicate<String> names, Consumer<String> steps) {
        this.folder = folder;
        this.names = names;
        this.steps = steps;
    }

    /**
     * Makes these the files of the group: writes them, in the map's order, and removes all others of the group. The
     * folder is made if it is missing. An interrupt of the thread does not prevent that, and is still set afterwards.
     *
     * @throws UncheckedIOException if a file cannot be written; the files are then the old ones, or, if the message
     *     says so, the new ones
     * @throws InputException as {@link #finish}
     */
    public void replace(Map<String, AtomicFile.Content> files) {
        if (!Files.isDirectory(folder)) { // createDirectories would refuse a link to one
            try {
                Files.createDirectories(folder);
            } catch (IOException e) {
                throw new UncheckedIOException("Cannot create the folder " + folder + ": " + IoReason.of(e), e);
            }
        }
        files.keySet().forEach(this::requireReplaceable);
        try {
            Uninterrupted.run(() -> tryReplace(files));
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot write into " + folder + ": " + IoReason.of(e), e);
        }
    }

    private void tryReplace(Map<String, AtomicFile.Content> files) throws IOException {
        finish();
        Temporary.clear(folder, temporaryName(), SaveJournal.FILE);
        files.keySet().forEach(name -> Temporary.clear(folder, name, null)); // as left by earlier versions
        steps.accept("begin");
        try (Temporary temporary = Temporary.folder(folder, temporaryName(), SaveJournal.FILE)) {
            Map<String, FileStamp> stamps = new TreeMap<>();
            for (Map.Entry<String, AtomicFile.Content> file : files.entrySet()) {
                steps.accept("write " + file.getKey());
                stamps.put(file.getKey(), write(temporary.path().resolve(file.getKey()), file.getValue()));
            }
            CARRYING_OUT.lock();
            try {
                carryOut(decide(temporary, stamps));
            } finally {
                CARRYING_OUT.unlock();
            }
        }
    }

    private static String temporaryName() {
        return SaveJournal.FOLDER.substring(1);
    }

    private void requireReplaceable(String name) {
        if (!isMember(name)) {
            throw new IllegalArgumentException(name + " does not belong to the files of " + folder);
        }
        if (Files.isDirectory(folder.resolve(name))) {
            throw new UncheckedIOException("Cannot write " + folder.resolve(name) + ": it is a folder",
                    new FileSystemException(folder.resolve(name).toString()));
        }
    }

    private boolean isMember(String name) {
        return SaveJournal.isPlain(name) && names.test(name);
    }

    private FileStamp write(Path file, AtomicFile.Content content) throws IOException {
        Temporary.deleteOnExit(file);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            content.writeTo(channel);
            channel.force(true);
        } catch (ClosedByInterruptException e) {
            throw e;
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot write " + folder.resolve(file.getFileName()) + ": "
                    + IoReason.of(e), e);
        }
        return FileStamp.of(file);
    }

    /** Makes the new files the valid ones; after that, only renames are left to do. */
    private SaveJournal decide(Temporary temporary, Map<String, FileStamp> stamps) throws IOException {
        for (int attempt = 1;; attempt++) {
            finish();
            SaveJournal journal = new SaveJournal(folder, changes(stamps));
            steps.accept("write the journal");
            journal.write(temporary.channel());
            AtomicFile.flush(temporary.path());
            steps.accept("decide");
            try {
                // Fails if somebody else has decided meanwhile: a folder cannot be renamed to one that has files in it
                Files.move(temporary.path(), folder.resolve(SaveJournal.FOLDER), StandardCopyOption.ATOMIC_MOVE);
            } catch (FileSystemException e) {
                if (attempt == ATTEMPTS || !Files.exists(temporary.path())) {
                    throw e;
                }
                continue;
            }
            return journal;
        }
    }

    private void carryOut(SaveJournal journal) throws ClosedByInterruptException {
        try {
            steps.accept("flush the decision");
            AtomicFile.flush(folder);
            journal.carryOut(steps);
        } catch (ClosedByInterruptException e) {
            throw e;
        } catch (IOException e) {
            throw new UncheckedIOException("The new files of " + folder + " are written, but not all could be put in "
                    + "their places, which whoever opens the folder next tries again: " + e, e);
        }
    }

    private List<SaveJournal.Change> changes(Map<String, FileStamp> stamps) throws IOException {
        Set<String> all = new TreeSet<>(members());
        all.addAll(stamps.keySet());
        List<SaveJournal.Change> changes = new ArrayList<>();
        for (String name : all) {
            changes.add(new SaveJournal.Change(name, FileStamp.of(folder.resolve(name)), stamps.get(name)));
        }
        return changes;
    }

    /** Names of the group's files that are in the folder. */
    private List<String> members() throws IOException {
        List<String> members = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder,
                file -> isMember(file.getFileName().toString()) && !Files.isDirectory(file))) {
            files.forEach(file -> members.add(file.getFileName().toString()));
        } catch (NoSuchFileException | NotDirectoryException e) {
            return List.of();
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        return members;
    }

    /**
     * Reads files of the group, all of one save: reads them again if one of them was replaced meanwhile.
     *
     * @param reader what reads them; a result that is not of one save is closed if it is {@link AutoCloseable}
     * @throws InputException as {@link #finish}, or if they were replaced at every attempt
     */
    public <T> T read(Supplier<T> reader) {
        for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
            finish();
            Map<String, State> before = states();
            T result = null;
            RuntimeException failure = null;
            try {
                result = reader.get();
            } catch (RuntimeException e) {
                failure = e;
            }
            if (isOfOneSave(before, result)) {
                if (failure != null) {
                    throw failure;
                }
                return result;
            }
            close(result);
        }
        throw new InputException(folder, "", "files that were replaced each of the " + ATTEMPTS
                + " times that they were read", "a folder that is not written all the time");
    }

    /** Whether the files that were read, whose states are given, are still there, and no save is unfinished. */
    private boolean isOfOneSave(Map<String, State> read, Object result) {
        try {
            // In this order: first no save is unfinished, and after that what was read is still in the folder
            return !isPending() && states().equals(read);
        } catch (RuntimeException e) {
            close(result);
            throw e;
        }
    }

    private static void close(Object result) {
        if (result instanceof AutoCloseable closeable) {
            try {
                closeable.close();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** Which file lies under a name. */
    private record State(Object key, long size, FileTime modified) {}

    private Map<String, State> states() {
        Map<String, State> states = new TreeMap<>();
        try {
            for (String name : members()) {
                BasicFileAttributes found = Files.readAttributes(folder.resolve(name), BasicFileAttributes.class);
                states.put(name, new State(found.fileKey(), found.size(), found.lastModifiedTime()));
            }
        } catch (NoSuchFileException e) {
            // It was removed meanwhile, or is a link that leads nowhere: whoever reads it reports that
        } catch (IOException e) {
            throw new UncheckedIOException("The folder " + folder + " cannot be read: " + IoReason.of(e), e);
        }
        return states;
    }

    private boolean isPending() {
        return Files.exists(folder.resolve(SaveJournal.FOLDER), LinkOption.NOFOLLOW_LINKS);
    }

    /**
     * Moves files to their places if a killed process had decided to do so.
     *
     * @throws InputException if the folder cannot be written, if somebody else has changed its files since, or if what
     *     is there is not an unfinished save
     */
    public void finish() {
        try {
            Uninterrupted.run(this::finishPending);
        } catch (IOException e) {
            throw new UncheckedIOException("The folder " + folder + " cannot be read: " + IoReason.of(e), e);
        }
    }

    private void finishPending() throws IOException {
        long start = System.nanoTime();
        while (isPending()) {
            String doubt;
            CARRYING_OUT.lock();
            try {
                doubt = tryFinish(start);
            } catch (ClosedByInterruptException e) {
                throw e;
            } catch (IOException e) {
                doubt = "files that cannot be put in their places (" + e + ")";
            } finally {
                CARRYING_OUT.unlock();
            }
            if (doubt != null && isPending() && isOver(start, DOUBT_MILLIS)) {
                throw new InputException(folder, "", "a save that was interrupted, and " + doubt, "the files as that "
                        + "save left them, in a folder that can be written: a copy of it with times and hidden files "
                        + "(cp -a) will do; if the files there are good, delete " + SaveJournal.FOLDER);
            }
            if (doubt != null) {
                pause();
            }
        }
    }

    private static boolean isOver(long start, long millis) {
        return System.nanoTime() - start > TimeUnit.MILLISECONDS.toNanos(millis);
    }

    private static void pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Null if nothing is left to do, or if the next attempt will do it; otherwise why it could not be done. */
    private String tryFinish(long start) throws IOException {
        Path held = folder.resolve(SaveJournal.FOLDER);
        Path file = held.resolve(SaveJournal.FILE);
        if (!Files.isDirectory(held, LinkOption.NOFOLLOW_LINKS)) {
            if (isPending()) {
                throw SaveJournal.malformed(held, "", "something that is not a folder", "a folder of new files");
            }
            return null;
        }
        if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            return finishWithoutList(held);
        }
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) && Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            throw SaveJournal.malformed(file, "", "something that is not a file", "a list of files");
        }
        try {
            Object key = key(file);
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE,
                    LinkOption.NOFOLLOW_LINKS)) {
                lock(channel, start);
                if (!key.equals(key(file))) {
                    return null;
                }
                SaveJournal journal = SaveJournal.read(folder, channel, names);
                String contradiction = journal.contradiction();
                if (contradiction != null) {
                    return contradiction;
                }
                journal.carryOut(steps);
                return null;
            }
        } catch (NoSuchFileException e) {
            return null; // somebody else has finished it
        }
    }

    /** After a save has been carried out, its folder may be left over. */
    private static String finishWithoutList(Path held) throws IOException {
        try {
            Files.deleteIfExists(held);
            return null;
        } catch (DirectoryNotEmptyException e) {
            if (Files.exists(held.resolve(SaveJournal.FILE), LinkOption.NOFOLLOW_LINKS)) {
                return null;
            }
            throw SaveJournal.malformed(held, "", "files without " + SaveJournal.FILE, "a list of them");
        }
    }

    private static Object key(Path file) throws IOException {
        return Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).fileKey();
    }

    /**
     * Waits for the process that is carrying it out. Where files cannot be locked this goes on, since carrying it out
     * twice does no harm.
     */
    private void lock(FileChannel channel, long start) throws ClosedByInterruptException {
        try {
            while (!tryLock(channel)) {
                if (isOver(start, PATIENCE_MILLIS)) {
                    throw new InputException(folder, "", "a save by another process that has been putting files in "
                            + "their places for " + PATIENCE_MILLIS / 1000 + " seconds", "one that ends");
                }
                pause();
            }
        } catch (ClosedByInterruptException e) {
            throw e;
        } catch (IOException e) {
            // As above
        }
    }

    private static boolean tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            return false; // a thread of this process that is about to give up
        }
    }
}
