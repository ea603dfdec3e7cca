package io.vblora.hostile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;

/** Runs all cases, or as many as there is time for, several at once. */
public final class Hostile {
    private final Path build;
    private final long seed;
    private final long end;
    private final Queue<Case> waiting;
    private final AtomicInteger passed = new AtomicInteger();
    private final AtomicInteger failed = new AtomicInteger();

    private Hostile(Path build, long seed, long end, List<Case> cases) {
        this.build = build;
        this.seed = seed;
        this.end = end;
        this.waiting = new ConcurrentLinkedQueue<>(cases);
    }

    public static void main(String[] arguments) throws Exception {
        long seconds = Long.MAX_VALUE;
        long seed = new Random().nextInt(1 << 30);
        String only = "";
        boolean list = false;
        for (int i = 0; i < arguments.length; i++) {
            switch (arguments[i]) {
                case "--seconds" -> seconds = Long.parseLong(arguments[++i]);
                case "--seed" -> seed = Long.parseLong(arguments[++i]);
                case "--only" -> only = arguments[++i];
                case "--list" -> list = true;
                default -> throw new IllegalArgumentException("unknown option " + arguments[i]);
            }
        }
        Path root = Path.of(System.getProperty("vblora.root"));
        Path build = root.resolve("build/hostile");
        String wanted = only;
        List<Case> cases = new ArrayList<>(Stream.of(FileCases.all(), OptionCases.all(root), ConfigCases.all(root),
                TensorCases.all(), DataCases.all(), TokenizerCases.all(), OutputCases.all()).flatMap(List::stream)
                .filter(c -> c.name().contains(wanted)).toList());
        if (list) {
            cases.forEach(c -> System.out.println(c.name()));
            return;
        }
        Collections.shuffle(cases, new Random(seed));
        System.out.printf("%d hostile cases, seed %d%n", cases.size(), seed);
        long end = seconds == Long.MAX_VALUE ? Long.MAX_VALUE : System.nanoTime() + seconds * 1_000_000_000L;
        makeWorld(root, build);
        new Hostile(build, seed, end, cases).run(wanted);
    }

    private static void makeWorld(Path root, Path build) throws IOException, InterruptedException {
        Path world = Files.createDirectories(build.resolve("world"));
        World.create(root, world);
        Path logs = Files.createDirectories(build.resolve("logs"));
        for (List<String> command : List.of(World.with(World.FINETUNE_TEXT, "--output", "text"),
                World.with(World.FINETUNE_SEQUENCES, "--output", "sequences"))) {
            Run run = Run.of(world, logs, command);
            if (run.exitCode() != 0) {
                throw new IllegalStateException("without any damage: " + command + "\n" + run.err());
            }
        }
    }

    private void run(String only) throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < Runtime.getRuntime().availableProcessors(); i++) {
            int number = i;
            Thread thread = new Thread(() -> work(build.resolve("worker" + number)));
            thread.setUncaughtExceptionHandler((ended, e) -> {
                failed.incrementAndGet();
                e.printStackTrace();
            });
            thread.start();
            threads.add(thread);
        }
        KillCases kills = new KillCases(build, seed);
        if (only.isEmpty() || "kill".contains(only)) { // beside the cases, so as to take no time of its own
            for (String fault : kills.run(end == Long.MAX_VALUE ? 200 : 5)) {
                failed.incrementAndGet();
                System.out.println("FAILED kill, seed " + seed + ": " + fault);
            }
            passed.addAndGet(kills.harmless());
        }
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.printf("%d passed, %d failed, %d skipped%n", passed.get(), failed.get(), waiting.size());
        System.exit(failed.get() == 0 ? 0 : 1);
    }

    private void work(Path folder) {
        for (Case c; System.nanoTime() < end && (c = waiting.poll()) != null;) {
            try {
                if (Files.exists(folder)) {
                    World.delete(folder);
                }
                Path place = folder.resolve("world");
                World.copy(build.resolve("world"), place);
                c.damage().to(place, new SplittableRandom(seed ^ c.name().hashCode()));
                Map<String, String> before = Run.checksums(place);
                Path logs = Files.createDirectories(folder.resolve("logs"));
                Run run = Run.of(place, logs, c.command());
                List<String> faults = run.faults(c, place);
                Map<String, String> after = Run.checksums(place);
                before.forEach((file, sum) -> {
                    if (!sum.equals(after.get(file))) {
                        faults.add("it changed " + file);
                    }
                });
                report(c, run, faults);
            } catch (IOException | InterruptedException e) {
                throw new IllegalStateException(c.name(), e);
            }
        }
    }

    private synchronized void report(Case c, Run run, List<String> faults) {
        if (faults.isEmpty()) {
            passed.incrementAndGet();
            return;
        }
        failed.incrementAndGet();
        String err = run.err().strip();
        System.out.printf("FAILED %s, seed %d%n  vblora %s%n  %s%n  exit code %d; it said: %s%n", c.name(), seed,
                shortened(String.join(" ", c.command()), 600), String.join("; ", faults), run.exitCode(),
                shortened(err.substring(Math.max(0, err.length() - 3000)), 1500));
    }

    private static String shortened(String text, int length) {
        return text.length() <= length ? text : text.substring(0, length) + "...";
    }
}
