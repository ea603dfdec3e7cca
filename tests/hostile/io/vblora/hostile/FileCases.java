package io.vblora.hostile;

import io.vblora.hostile.Case.Expect;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Every file that is read, with something else in its place. */
final class FileCases {
    private static final int FLIPS = 6;

    /** A file, and the command that reads it. */
    private record Role(String file, List<String> command) {}

    private static final List<Role> ROLES = List.of(
            new Role("llama/config.json", World.FINETUNE_TEXT),
            new Role("llama/tokenizer.json", World.FINETUNE_TEXT),
            new Role("llama/model.safetensors.index.json", World.FINETUNE_TEXT),
            new Role("llama/model-00001-of-00002.safetensors", World.FINETUNE_TEXT),
            new Role("bert/config.json", World.FINETUNE_SEQUENCES),
            new Role("bert/tokenizer.json", World.FINETUNE_SEQUENCES),
            new Role("bert/model.safetensors", World.FINETUNE_SEQUENCES),
            new Role("train.csv", World.FINETUNE_SEQUENCES),
            new Role("train.txt", World.FINETUNE_TEXT),
            new Role("text/adapter_config.json", World.EVALUATE_TEXT),
            new Role("text/adapter_model.safetensors", World.EVALUATE_TEXT),
            new Role("text/adapter_config.json", World.INSPECT),
            new Role("text/adapter_model.safetensors", World.INSPECT),
            new Role("text/adapter_model.safetensors", World.DELTA),
            new Role("text/adapter_config.json", World.with(World.FINETUNE_TEXT, "--init-adapter", "text")),
            new Role("sequences/task_config.json", World.EVALUATE_SEQUENCES),
            new Role("sequences/adapter_config.json", World.EVALUATE_SEQUENCES),
            new Role("sequences/adapter_model.safetensors", World.EVALUATE_SEQUENCES));

    private FileCases() {}

    static List<Case> all() {
        List<Case> cases = new ArrayList<>();
        for (Role role : ROLES) {
            boolean data = role.file.startsWith("train");
            things().forEach((name, thing) -> {
                if (data && name.equals("pipe without a writer")) {
                    return; // data may come through a pipe, and waiting for a writer is what pipes are for
                }
                boolean readable = data && List.of("half", "random", "json object", "json array", "deep", "spaces",
                        "pipe that ends").contains(name);
                cases.add(of(role, name, thing, readable || name.equals("half") && role.file.endsWith("index.json")
                        ? Expect.ANY : Expect.REFUSED));
            });
            for (int i = 0; i < FLIPS; i++) {
                cases.add(of(role, "flipped byte " + i, FileCases::flip, Expect.ANY));
            }
        }
        return cases;
    }

    private static Case of(Role role, String name, Thing thing, Expect expect) {
        return new Case("file: " + role.command.get(0) + " " + role.file + ": " + name,
                (folder, random) -> thing.putAt(folder.resolve(role.file), random), role.command, expect);
    }

    /** Puts something in the place of a file that is there. */
    @FunctionalInterface
    private interface Thing {
        void putAt(Path file, SplittableRandom random) throws IOException;
    }

    private static Map<String, Thing> things() {
        Map<String, Thing> things = new LinkedHashMap<>();
        things.put("absent", (file, random) -> Files.delete(file));
        things.put("empty", (file, random) -> Files.write(file, new byte[0]));
        things.put("folder", (file, random) -> {
            Files.delete(file);
            Files.createDirectory(file);
        });
        things.put("pipe without a writer", (file, random) -> {
            Files.delete(file);
            pipe(file);
        });
        things.put("/dev/zero", (file, random) -> link(file, "/dev/zero"));
        things.put("/dev/null", (file, random) -> link(file, "/dev/null"));
        things.put("/dev/random", (file, random) -> link(file, "/dev/urandom"));
        things.put("link to itself", (file, random) -> link(file, file.getFileName().toString()));
        things.put("link to nothing", (file, random) -> link(file, "nowhere/at/all"));
        things.put("half", (file, random) -> {
            byte[] content = Files.readAllBytes(file);
            Files.write(file, java.util.Arrays.copyOf(content, content.length / 2));
        });
        things.put("random", (file, random) -> {
            byte[] content = new byte[1000];
            random.nextBytes(content);
            Files.write(file, content);
        });
        things.put("json object", (file, random) -> Files.writeString(file, "{}"));
        things.put("json array", (file, random) -> Files.writeString(file, "[]"));
        things.put("deep", (file, random) -> Files.writeString(file, "{\"a\":".repeat(100_000)));
        things.put("spaces", (file, random) -> Files.write(file, " ".repeat(40 << 20)
                .getBytes(StandardCharsets.ISO_8859_1)));
        things.put("sparse", (file, random) -> {
            try (RandomAccessFile access = new RandomAccessFile(file.toFile(), "rw")) {
                access.setLength(0);
                access.setLength(1L << 33);
            }
        });
        return things;
    }

    private static void flip(Path file, SplittableRandom random) throws IOException {
        byte[] content = Files.readAllBytes(file);
        // The beginning is where structure lies.
        int place = random.nextInt(Math.min(content.length, random.nextBoolean() ? 4000 : content.length));
        content[place] ^= (byte) (1 << random.nextInt(8));
        Files.write(file, content);
    }

    private static void link(Path file, String target) throws IOException {
        Files.delete(file);
        Files.createSymbolicLink(file, Path.of(target));
    }

    static void pipe(Path file) throws IOException {
        try {
            if (new ProcessBuilder("mkfifo", file.toString()).start().waitFor() != 0) {
                throw new IOException("mkfifo failed");
            }
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
    }
}
