package io.vblora.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a process leaves that is killed between deciding on new files and putting them in their places. */
public final class InterruptedSave {
    private InterruptedSave() {}

    /** Decides on the files {@code names} of another folder, those that it has. */
    public static void leave(Path folder, List<String> names, Path source) {
        Map<String, AtomicFile.Content> files = new TreeMap<>();
        for (String name : names) {
            if (Files.exists(source.resolve(name))) {
                try {
                    files.put(name, AtomicFile.content(Files.readAllBytes(source.resolve(name))));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        }
        Error killed = new Error();
        try {
            new FileGroup(folder, names::contains, step -> {
                if (step.equals("flush the decision")) {
                    throw killed;
                }
            }).replace(files);
        } catch (Error e) {
            if (e != killed) {
                throw e;
            }
        }
    }
}
