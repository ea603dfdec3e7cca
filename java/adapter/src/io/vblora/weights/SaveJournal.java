package io.vblora.weights;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * A save that is decided: a hidden folder in the folder of a {@link FileGroup}. It holds the new files that are not in
 * their places yet, and {@value #FILE}, which says for each file of the group what was there before and what will be.
 * Carrying it out twice, or twice at once, has the same effect as once.
 */
final class SaveJournal {
    /** Name of the hidden folder. */
    static final String FOLDER = ".vblora-save";
    /** Name of the file in it that lists the changes. Whoever carries them out holds a lock on it. */
    static final String FILE = ".journal.json";

    private static final int MAX_BYTES = 1 << 20;
    private static final JsonMapper MAPPER = new JsonMapper();

    /**
     * What becomes of a file.
     *
     * @param before null if there was none
     * @param after null if it is removed
     */
    record Change(String name, FileStamp before, FileStamp after) {}

    private final Path folder;
    private final Path held;
    private final List<Change> changes;

    SaveJournal(Path folder, List<Change> changes) {
        this.folder = folder;
        this.held = folder.resolve(FOLDER);
        this.changes = changes;
    }

    /** Whether a journal may name this file: it must lie in the folder itself and be neither hidden nor the folder. */
    static boolean isPlain(String name) {
        return !name.isEmpty() && !name.startsWith(".")
                && name.chars().noneMatch(c -> c == '/' || c == '\\' || c < ' ');
    }

    /** Replaces a file's content with the list of changes. */
    void write(FileChannel file) throws IOException {
        ObjectNode json = MAPPER.createObjectNode();
        ObjectNode files = json.putObject("files");
        for (Change change : changes) {
            ObjectNode entry = files.putObject(change.name);
            write(entry, "before", change.before);
            write(entry, "after", change.after);
        }
        file.truncate(0);
        AtomicFile.writeFully(file, ByteBuffer.wrap((json.toPrettyString() + "\n").getBytes(StandardCharsets.UTF_8)));
        file.force(true);
    }

    private static void write(ObjectNode entry, String key, FileStamp stamp) {
        if (stamp != null) {
            entry.putObject(key).put("size", stamp.size()).put("modified", stamp.modified());
        }
    }

    /**
     * Reads the list of changes.
     *
     * @param names tells which files belong to the group
     * @throws InputException if it is not a list that a save of this group writes, or if its folder holds anything else
     */
    static SaveJournal read(Path folder, FileChannel file, Predicate<String> names) throws IOException {
        Path path = folder.resolve(FOLDER).resolve(FILE);
        if (file.size() > MAX_BYTES) {
            throw malformed(path, "", file.size() + " bytes", "at most " + MAX_BYTES + " bytes");
        }
        ByteBuffer bytes = ByteBuffer.allocate((int) file.size());
        while (bytes.hasRemaining() && file.read(bytes) >= 0) {
            continue;
        }
        SaveJournal journal;
        try {
            journal = new SaveJournal(folder, changes(JsonFields.parse(path.toString(), bytes.array()), names));
        } catch (InputException e) {
            throw malformed(path, e.field(), e.found(), e.expected());
        }
        journal.checkHeld();
        return journal;
    }

    private static List<Change> changes(JsonFields json, Predicate<String> names) {
        JsonFields files = json.object("files");
        List<Change> changes = new ArrayList<>();
        for (String name : (Iterable<String>) files.object()::fieldNames) {
            if (!isPlain(name) || !names.test(name)) {
                throw new InputException(json.source(), "files", '"' + name + '"',
                        "names of files that belong together in this folder");
            }
            JsonFields entry = files.object(name);
            changes.add(new Change(name, stamp(entry, "before"), stamp(entry, "after")));
        }
        return changes;
    }

    private static FileStamp stamp(JsonFields entry, String key) {
        if (!entry.has(key)) {
            return null;
        }
        JsonFields stamp = entry.object(key);
        return new FileStamp(stamp.integer("size", 0, Long.MAX_VALUE),
                stamp.integer("modified", Long.MIN_VALUE / 2, Long.MAX_VALUE / 2));
    }

    static InputException malformed(Path path, String field, String found, String expected) {
        return new InputException(path, field, found, expected + ", as an interrupted save leaves them; if the files "
                + "beside it are good, delete " + FOLDER);
    }

    private void checkHeld() throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(held)) {
            for (Path file : files) {
                String name = file.getFileName().toString();
                boolean isNew = changes.stream().anyMatch(c -> c.after != null && c.name.equals(name));
                if (!name.equals(FILE) && !isNew) {
                    throw malformed(held, "", "\"" + name + "\", of which " + FILE + " says nothing", "the new files");
                }
                if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) && Files.exists(file,
                        LinkOption.NOFOLLOW_LINKS)) {
                    throw malformed(file, "", "something that is not a file", "files");
                }
            }
        }
    }

    /** Describes what somebody else has changed since; null if all files are as the save left them. */
    String contradiction() throws IOException {
        for (Change change : changes) {
            FileStamp now = FileStamp.of(folder.resolve(change.name));
            FileStamp kept = FileStamp.of(held.resolve(change.name));
            boolean fits;
            if (change.after == null) {
                fits = now == null || FileStamp.match(now, change.before);
            } else if (kept != null) {
                fits = FileStamp.match(kept, change.after) && FileStamp.match(now, change.before);
            } else {
                fits = FileStamp.match(now, change.after);
            }
            if (!fits) {
                return now == null && kept == null ? "no " + change.name : change.name + ", which was changed";
            }
        }
        return null;
    }

    /** Moves the new files to their places, then removes the files that are to go, then the journal. */
    void carryOut(Consumer<String> steps) throws IOException {
        for (Change change : changes) {
            Path target = folder.resolve(change.name);
            steps.accept("change " + change.name);
            if (change.after == null) {
                Files.deleteIfExists(target);
            } else {
                try {
                    Files.move(held.resolve(change.name), target, StandardCopyOption.ATOMIC_MOVE);
                } catch (NoSuchFileException e) {
                    // It is in its place already.
                }
            }
        }
        steps.accept("flush the changes");
        AtomicFile.flush(folder);
        steps.accept("remove the list");
        Files.deleteIfExists(held.resolve(FILE));
        steps.accept("remove the journal");
        Files.deleteIfExists(held);
        AtomicFile.flush(folder);
    }
}
