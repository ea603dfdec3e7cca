package io.vblora.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.data.Pipes;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestReporter;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Tag("slow")
class FileGroupTest {
    private static final Set<String> NAMES = Set.of("a.bin", "b.json", "c.json");

    @TempDir
    Path temporary;

    private Path folder;

    @BeforeEach
    void folder() {
        folder = temporary.resolve("folder");
    }

    private static FileGroup group(Path folder) {
        return group(folder, step -> {});
    }

    private static FileGroup group(Path folder, Consumer<String> steps) {
        return new FileGroup(folder, NAMES::contains, steps);
    }

    /** Files that all say their version; every other version has no c.json. */
    private static Map<String, String> version(int version) {
        Map<String, String> files = new TreeMap<>(Map.of("a.bin", "a " + version + ".".repeat(version % 100),
                "b.json", "b " + version));
        if (version % 2 == 0) {
            files.put("c.json", "c " + version);
        }
        return files;
    }

    private static Map<String, AtomicFile.Content> contents(int version) {
        Map<String, AtomicFile.Content> contents = new TreeMap<>();
        version(version).forEach(
                (name, text) -> contents.put(name, AtomicFile.content(text.getBytes(StandardCharsets.UTF_8))));
        return contents;
    }

    private static Map<String, String> files(Path folder) {
        Map<String, String> files = new TreeMap<>();
        for (String name : NAMES) {
            try {
                if (Files.exists(folder.resolve(name))) {
                    files.put(name, Files.readString(folder.resolve(name)));
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return files;
    }

    private static Map<String, String> read(Path folder) {
        return group(folder).read(() -> files(folder));
    }

    /** The version that all files are of. */
    private static int wholeVersion(Map<String, String> files) {
        assertTrue(files.containsKey("b.json"), files::toString);
        int version = Integer.parseInt(files.get("b.json").substring(2));
        assertEquals(version(version), files);
        return version;
    }

    private static List<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    /** With times, as cp -a. */
    private static void copy(Path from, Path to) {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : files.toList()) {
                Files.copy(file, to.resolve(from.relativize(file).toString()), StandardCopyOption.COPY_ATTRIBUTES,
                        LinkOption.NOFOLLOW_LINKS);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void replacesAllFilesOfTheGroupAndNoOthers() throws IOException {
        group(folder).replace(contents(2));
        Files.writeString(folder.resolve("other.json"), "not of the group");
        assertEquals(version(2), read(folder));
        group(folder).replace(contents(3));
        assertEquals(version(3), read(folder));
        assertEquals(List.of("a.bin", "b.json", "other.json"), names(folder));
        Path link = Files.createSymbolicLink(temporary.resolve("link"), folder);
        group(link).replace(contents(4));
        assertEquals(version(4), read(folder));
        assertEquals(version(4), read(link));
        assertTrue(Files.isSymbolicLink(link));
    }

    /** Names that a killed save could have left, under which lies something else. */
    @Test
    void removesNothingThatNoSaveHasLeft() throws Exception {
        Path pipe = Files.createDirectories(folder.resolve(".vblora-save.a.tmp")).resolve(".journal.json");
        Pipes.make(pipe);
        Path outside = Files.createDirectory(temporary.resolve("outside"));
        Files.writeString(outside.resolve(".journal.json"), "");
        Files.createSymbolicLink(folder.resolve(".vblora-save.b.tmp"), outside);
        Path file = Files.writeString(folder.resolve(".vblora-save.c.tmp"), "");
        Path other = Files.createDirectory(folder.resolve(".vblora-save.d.tmp")).resolve("file");
        Files.writeString(other, "");
        Files.createDirectory(folder.resolve(".vblora-save.e.tmp"));
        assertTimeoutPreemptively(Duration.ofMinutes(1), () -> group(folder).replace(contents(2)));
        assertEquals(version(2), read(folder));
        for (Path left : List.of(pipe, outside.resolve(".journal.json"), file, other)) {
            assertTrue(Files.exists(left), left::toString);
        }
        assertFalse(Files.exists(folder.resolve(".vblora-save.e.tmp")), "that of a process killed at once");
    }

    /** A copy of the folder before each step is what is left if the process ends there. */
    @ParameterizedTest
    @CsvSource({"-1, 2", "2, 3", "3, 2", "2, 4"})
    void whereverASaveEndsTheFolderIsTheOldOrTheNewOne(int before, int after) throws IOException {
        Files.createDirectories(folder);
        if (before >= 0) {
            group(folder).replace(contents(before));
        }
        Map<String, String> old = before < 0 ? Map.of() : version(before);
        List<String> steps = new ArrayList<>();
        List<Path> copies = new ArrayList<>();
        group(folder, step -> {
            steps.add(step);
            copies.add(temporary.resolve("copy" + copies.size()));
            copy(folder, copies.get(copies.size() - 1));
        }).replace(contents(after));
        int decided = steps.indexOf("decide");
        assertTrue(decided > 3 && steps.size() > decided + 5, steps::toString);
        for (int i = 0; i < copies.size(); i++) {
            String message = "killed before step " + i + ", " + steps.get(i);
            // Whoever puts the files in their places may be killed, too.
            List<Path> again = new ArrayList<>();
            Path copy = copies.get(i);
            Path finished = temporary.resolve("finished" + i);
            copy(copy, finished);
            group(finished, step -> {
                again.add(temporary.resolve(copy.getFileName() + "-" + again.size()));
                copy(finished, again.get(again.size() - 1));
            }).finish();
            assertEquals(i <= decided || i == copies.size() - 1, again.isEmpty(), message);
            again.add(finished);
            again.add(copy);
            for (Path left : again) {
                assertEquals(i <= decided ? old : version(after), read(left), message);
                assertFalse(Files.exists(left.resolve(".vblora-save")), message);
                group(left).replace(contents(1));
                assertEquals(List.of("a.bin", "b.json"), names(left), message);
            }
        }
    }

    @Test
    void aFailureLeavesTheOldFilesAlone() throws IOException {
        group(folder).replace(contents(2));
        IOException full = new IOException("No space left on device");
        Map<String, AtomicFile.Content> contents = contents(4);
        contents.put("b.json", channel -> {
            channel.write(ByteBuffer.wrap(new byte[100]));
            throw full;
        });
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> group(folder).replace(contents));
        assertSame(full, e.getCause());
        assertTrue(e.getMessage().startsWith("Cannot write " + folder.resolve("b.json")), e.getMessage());
        assertEquals(version(2), read(folder));
        assertEquals(List.of("a.bin", "b.json", "c.json"), names(folder));
        Files.delete(folder.resolve("b.json"));
        Files.createDirectory(folder.resolve("b.json"));
        e = assertThrows(UncheckedIOException.class, () -> group(folder).replace(contents(4)));
        assertEquals("Cannot write " + folder.resolve("b.json") + ": it is a folder", e.getMessage());
        assertThrows(IllegalArgumentException.class,
                () -> group(folder).replace(Map.of("d.json", AtomicFile.content(new byte[0]))));
    }

    @Test
    void whatWasReadIsClosedIfTheFolderCannotBeReadAnyMore() throws IOException {
        group(folder).replace(contents(2));
        AtomicInteger closed = new AtomicInteger();
        Path moved = temporary.resolve("moved");
        assertThrows(UncheckedIOException.class, () -> group(folder).<AutoCloseable>read(() -> {
            try {
                Files.move(folder, moved);
                Files.createSymbolicLink(folder, folder); // a link to itself, which nobody can follow
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            return closed::incrementAndGet;
        }));
        assertEquals(1, closed.get());
    }

    @Test
    void aFailureBehindTheDecisionSaysThatTheNewFilesCount() throws IOException {
        group(folder).replace(contents(2));
        Path inTheWay = folder.resolve("b.json");
        Path old = temporary.resolve("b.json");
        UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> group(folder, step -> {
            if (step.equals("change b.json")) {
                try {
                    Files.move(inTheWay, old);
                    Files.createDirectory(inTheWay);
                } catch (IOException failure) {
                    throw new UncheckedIOException(failure);
                }
            }
        }).replace(contents(4)));
        assertTrue(e.getMessage().startsWith("The new files of " + folder + " are written, but not all could be put in "
                + "their places"), e.getMessage());
        Files.delete(inTheWay);
        Files.move(old, inTheWay);
        assertEquals(version(4), read(folder));
    }

    /** Earlier versions wrote file by file, each under such a name, without a lock. */
    @Test
    void removesTemporaryFilesOfSingleFiles() throws IOException {
        Files.createDirectories(folder);
        Files.writeString(folder.resolve(".a.bin.1y2p0ij32e8e7.tmp"), "half");
        Path other = Files.writeString(folder.resolve(".d.json.1y2p0ij32e8e7.tmp"), "not of the group");
        group(folder).replace(contents(2));
        assertEquals(List.of(other.getFileName().toString(), "a.bin", "b.json", "c.json"), names(folder));
    }

    /** Of the thread, before each step in turn. */
    @Test
    void anInterruptDoesNotKeepFilesFromBeingReplaced() throws IOException {
        int at = 0;
        for (boolean isInterrupted = true; isInterrupted; at++) {
            int interrupted = at;
            AtomicInteger step = new AtomicInteger();
            try {
                group(folder, name -> {
                    if (step.getAndIncrement() == interrupted) {
                        Thread.currentThread().interrupt();
                    }
                }).replace(contents(at));
            } finally {
                isInterrupted = Thread.interrupted();
            }
            assertEquals(at < step.get(), isInterrupted);
            assertEquals(at, wholeVersion(read(folder)));
            assertEquals(version(at).size(), names(folder).size(), "nothing else is left");
        }
        assertTrue(at > 8, "only " + at);
        leaveDecided(temporary.resolve("decided"));
        Thread.currentThread().interrupt();
        try {
            assertEquals(3, wholeVersion(group(temporary.resolve("decided")).read(() -> {
                assertTrue(Thread.interrupted());
                return files(temporary.resolve("decided"));
            })));
        } finally {
            Thread.interrupted();
        }
    }

    /** The folder as a process leaves it that is killed as soon as it has decided on version 3 in place of 2. */
    private void leaveDecided() {
        leaveDecided(folder);
    }

    private void leaveDecided(Path folder) {
        Path original = temporary.resolve("original");
        group(original).replace(contents(2));
        group(original, step -> {
            if (step.equals("flush the decision")) {
                copy(original, folder);
            }
        }).replace(contents(3));
    }

    private void assertRefused(String... texts) throws IOException {
        List<String> before = names(folder);
        for (Runnable open : List.<Runnable>of(() -> group(folder).finish(), () -> read(folder),
                () -> group(folder).replace(contents(4)))) {
            InputException e = assertThrows(InputException.class, open::run);
            for (String text : texts) {
                assertTrue(e.getMessage().contains(text), e.getMessage());
            }
        }
        assertEquals(before, names(folder));
    }

    @ParameterizedTest
    @CsvSource({"../outside", "/etc/hostname", "..", ".", "'', ''", "other.json", ".hidden", "sub/a.bin",
        "a\\u0000.bin"})
    void refusesAJournalThatNamesWhatIsNotOfTheGroup(String name) throws IOException {
        leaveDecided();
        Path outside = Files.writeString(temporary.resolve("outside"), "precious");
        Files.writeString(folder.resolve("other.json"), "precious");
        Path list = folder.resolve(".vblora-save/.journal.json");
        String original = Files.readString(list);
        for (String listed : new String[] {"c.json", "a.bin"}) {
            String changed = original.replace('"' + listed + '"', '"' + (name == null ? "" : name) + '"');
            assertFalse(changed.equals(original));
            Files.writeString(list, changed);
            assertRefused(list + ": files: found ", "delete .vblora-save");
            assertEquals(version(2), files(folder));
        }
        assertEquals("precious", Files.readString(outside));
        assertEquals("precious", Files.readString(folder.resolve("other.json")));
    }

    @Test
    void refusesWhatIsNoJournal() throws IOException {
        leaveDecided();
        Path held = folder.resolve(".vblora-save");
        Path list = held.resolve(".journal.json");
        String original = Files.readString(list);
        for (String text : List.of("", "{", "[]", "{}", "{\"files\": 1}", "{\"files\": {\"a.bin\": 1}}",
                "{\"files\": {\"a.bin\": {\"after\": 1}}}",
                "{\"files\": {\"a.bin\": {\"after\": {\"size\": -1, \"modified\": 0}}}}",
                original.substring(0, original.length() / 2), original + "{}", "[".repeat(100_000))) {
            Files.writeString(list, text);
            assertRefused(list.toString(), "delete .vblora-save");
        }
        Files.write(list, new byte[2 << 20]);
        assertRefused(list.toString(), "2097152 bytes", "delete .vblora-save");
        Files.writeString(list, original);
        Path extra = Files.writeString(held.resolve("d.json"), "");
        assertRefused("\"d.json\", of which .journal.json says nothing");
        Files.delete(extra);
        Path moved = Files.move(held.resolve("a.bin"), temporary.resolve("a.bin"));
        Files.createSymbolicLink(held.resolve("a.bin"), moved);
        assertRefused(held.resolve("a.bin") + ": found something that is not a file");
        Files.delete(held.resolve("a.bin"));
        Files.createDirectory(held.resolve("a.bin"));
        assertRefused(held.resolve("a.bin") + ": found something that is not a file");
        Files.delete(held.resolve("a.bin"));
        Files.move(moved, held.resolve("a.bin"));
        Path elsewhere = Files.move(list, temporary.resolve("list"));
        assertRefused("files without .journal.json", "delete .vblora-save");
        Files.createSymbolicLink(list, elsewhere);
        assertRefused(list + ": found something that is not a file");
        Files.delete(list);
        Files.move(elsewhere, list);
        Path real = Files.move(held, temporary.resolve("held"));
        Files.createSymbolicLink(held, real);
        assertRefused(held + ": found something that is not a folder");
        Files.delete(held);
        Files.writeString(held, original);
        assertRefused(held + ": found something that is not a folder");
        Files.delete(held);
        assertEquals(version(2), read(folder));
        Files.move(real, held);
        assertEquals(version(3), read(folder));
    }

    /** Somebody who knows nothing of the interrupted save would lose what he wrote, or find half of it. */
    @Test
    void refusesFilesThatWereChangedSince() throws IOException {
        leaveDecided();
        Files.writeString(folder.resolve("b.json"), "edited by hand");
        assertRefused(folder + ": found a save that was interrupted, and b.json, which was changed",
                "delete .vblora-save");
        assertEquals("edited by hand", Files.readString(folder.resolve("b.json")));
        Files.delete(folder.resolve("b.json"));
        assertRefused("b.json, which was changed");
        Files.delete(folder.resolve(".vblora-save/b.json"));
        assertRefused("no b.json");
    }

    @Test
    void saysWhatToDoWhereItMustNotWrite() throws IOException {
        leaveDecided();
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("r-xr-xr-x"));
        Assumptions.assumeFalse(Files.isWritable(folder), "root may write everywhere");
        assertRefused(folder + ": found a save that was interrupted, and files that cannot be put in their places",
                "(cp -a)", "delete .vblora-save");
        Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxr-xr-x"));
        assertEquals(version(3), read(folder));
    }

    @Test
    void readersAndSeveralWritersAtOnceNeverSeeAMixture() throws Exception {
        group(folder).replace(contents(0));
        AtomicBoolean stop = new AtomicBoolean();
        AtomicInteger next = new AtomicInteger();
        Set<Integer> seen = new HashSet<>();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        try {
            List<Future<?>> running = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                running.add(threads.submit((Callable<Void>) () -> {
                    while (!stop.get()) {
                        group(folder).replace(contents(next.incrementAndGet()));
                        Thread.sleep(1);
                    }
                    return null;
                }));
                running.add(threads.submit((Callable<Void>) () -> {
                    while (!stop.get()) {
                        int version = wholeVersion(read(folder));
                        synchronized (seen) {
                            seen.add(version);
                        }
                    }
                    return null;
                }));
            }
            Thread.sleep(1500);
            stop.set(true);
            for (Future<?> future : running) {
                future.get(1, TimeUnit.MINUTES);
            }
        } finally {
            stop.set(true);
            threads.shutdown();
        }
        assertTrue(seen.size() > 1, seen::toString);
        wholeVersion(read(folder));
        List<String> left = names(folder);
        assertTrue(left.stream().noneMatch(name -> name.startsWith(".")), left::toString);
    }

    /** Replaces version after version, from a number on, and prints each step before it is made. */
    public static final class Saver {
        public static void main(String[] args) {
            Path folder = Path.of(args[0]);
            for (int i = Integer.parseInt(args[1]);; i++) {
                int version = i;
                group(folder, step -> {
                    System.out.println(version + " " + step);
                    System.out.flush();
                }).replace(contents(version));
            }
        }
    }

    /** Begins to replace by version 3, and waits for a line between the two files. */
    public static final class SlowSaver {
        public static void main(String[] args) {
            Map<String, AtomicFile.Content> contents = contents(3);
            AtomicFile.Content last = contents.get("b.json");
            contents.put("b.json", channel -> {
                System.out.println("half");
                System.out.flush();
                System.in.read();
                last.writeTo(channel);
            });
            group(Path.of(args[0])).replace(contents);
        }
    }

    private static Process start(Class<?> main, Object... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")), main.getName()));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    }

    /** The system property vblora.kills takes more of them. */
    @Test
    void aKilledProcessLeavesTheOldOrTheNewFiles(TestReporter reporter) throws Exception {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        int kills = Integer.getInteger("vblora.kills", 8);
        int unfinished = 0;
        int last = 0;
        group(folder).replace(contents(last));
        for (int kill = 0; kill < kills; kill++) {
            Process process = start(Saver.class, folder, last + 1);
            String line = "";
            try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
                for (int i = 40 + random.nextInt(40); i > 0; i--) {
                    line = lines.readLine();
                }
                if (random.nextBoolean()) {
                    while (!line.endsWith("decide")) {
                        line = lines.readLine();
                    }
                }
                LockSupport.parkNanos(random.nextInt(2_000_000));
                process.toHandle().destroyForcibly(); // the process itself would close the pipe before it is read
                for (String more = lines.readLine(); more != null; more = lines.readLine()) {
                    line = more;
                }
            } catch (IOException e) {
                // The pipe of a killed process
            }
            process.waitFor();
            unfinished += Files.exists(folder.resolve(".vblora-save")) ? 1 : 0;
            int begun = Integer.parseInt(line.substring(0, line.indexOf(' ')));
            int found = wholeVersion(read(folder));
            assertTrue(found == begun || found == begun - 1, "seed " + seed + ": found " + found + " after " + line);
            last = begun;
        }
        reporter.publishEntry("kills between the decision and the end", unfinished + " of " + kills);
        group(folder).replace(contents(1));
        assertEquals(List.of("a.bin", "b.json"), names(folder), "the temporary files of killed processes are gone");
    }

    @Test
    void aSaveThatIsUnderWayElsewhereIsLeftAlone() throws Exception {
        group(folder).replace(contents(2));
        Process process = start(SlowSaver.class, folder);
        try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
            assertEquals("half", lines.readLine());
            group(folder).replace(contents(4));
            assertEquals(4, wholeVersion(read(folder)));
            assertEquals(4, names(folder).size(), "the three files, and those that are being written");
            process.getOutputStream().write('\n');
            process.getOutputStream().flush();
            assertTrue(process.waitFor(1, TimeUnit.MINUTES));
            assertEquals(0, process.exitValue());
            assertEquals(3, wholeVersion(read(folder)), "who comes last");
            assertEquals(List.of("a.bin", "b.json"), names(folder));
        } finally {
            process.destroyForcibly();
        }
    }
}
