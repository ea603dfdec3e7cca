package io.vblora.hostile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * Kills runs that replace an adapter, at any time and about the time of the save, and looks at what is in the folder
 * then: the old adapter, the new one, or one that is refused.
 */
final class KillCases {
    private static final List<String> OLD = World.with(World.FINETUNE_SEQUENCES, "--output", "killed");
    private static final List<String> NEW = World.with(World.with(World.with(World.with(OLD, "--r", "2"), "--pooling",
            "mean"), "--train", "other.csv"), "--eval", "other.csv");

    private final Path folder;
    private final Path logs;
    private final SplittableRandom random;
    private int harmless;
    private int refused;

    KillCases(Path build, long seed) {
        folder = build.resolve("kills");
        logs = build.resolve("logs");
        random = new SplittableRandom(seed);
    }

    int harmless() {
        return harmless;
    }

    List<String> run(int times) throws InterruptedException {
        try {
            return kill(times);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private List<String> kill(int times) throws IOException, InterruptedException {
        World.copy(folder.resolveSibling("world"), folder);
        Files.writeString(folder.resolve("other.csv"), "text,label\nw3 w4,x\nw5 w6 w7,y\n" + "w9,x\n".repeat(7));
        Path killed = folder.resolve("killed");
        require(NEW);
        Map<String, String> newFiles = Run.checksums(killed);
        long start = System.nanoTime();
        require(NEW);
        long whole = System.nanoTime() - start;
        require(OLD);
        Map<String, String> oldFiles = Run.checksums(killed);
        Path oldCopy = folder.resolve("old");
        World.copy(killed, oldCopy);
        List<String> faults = new ArrayList<>();
        for (int i = 0; i < times; i++) {
            World.delete(killed);
            World.copy(oldCopy, killed);
            // The save is at the end of a run, half of the kills are aimed there.
            double share = i % 2 == 0 ? random.nextDouble() : 0.8 + 0.3 * random.nextDouble();
            Process process = Run.process(folder, NEW).redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
            process.waitFor((long) (whole * share), TimeUnit.NANOSECONDS);
            process.destroyForcibly().waitFor();
            look(killed, oldFiles, newFiles, i, faults);
        }
        System.out.printf("%d kills: %d of them left an adapter that is refused%n", times, refused);
        return faults;
    }

    private void look(Path killed, Map<String, String> oldFiles, Map<String, String> newFiles, int number,
            List<String> faults) throws IOException, InterruptedException {
        Run evaluation = Run.of(folder, logs, World.words("evaluate --model bert --adapter killed --data train.csv "
                + "--no-labels --predictions p.tsv --device cpu"));
        Map<String, String> visible = visible(Run.checksums(killed));
        boolean whole = visible.equals(oldFiles) || visible.equals(newFiles);
        if (evaluation.exitCode() == 0 && !whole) {
            faults.add("kill " + number + " left a mixed folder that is used: " + visible.keySet());
        } else if (evaluation.exitCode() != 0 && whole) {
            faults.add("kill " + number + " left a whole folder that is refused: " + evaluation.err());
        } else {
            refused += whole ? 0 : 1;
            require(NEW);
            if (!Run.checksums(killed).equals(newFiles)) {
                faults.add("after kill " + number + " a run left " + Run.checksums(killed).keySet());
            } else {
                harmless++;
            }
        }
    }

    private static Map<String, String> visible(Map<String, String> files) {
        Map<String, String> visible = new TreeMap<>(files);
        visible.keySet().removeIf(name -> name.startsWith("."));
        return visible;
    }

    private void require(List<String> command) throws IOException, InterruptedException {
        Run run = Run.of(folder, logs, command);
        if (run.exitCode() != 0) {
            throw new IllegalStateException("without a kill: " + command + "\n" + run.err());
        }
    }
}
