package io.vblora.hostile;

import io.vblora.hostile.Case.Expect;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Files of examples that nobody would write on purpose. */
final class DataCases {
    /** Writes a file. */
    @FunctionalInterface
    private interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    private DataCases() {}

    static List<Case> all() {
        Map<String, Content> contents = new LinkedHashMap<>();
        contents.put("a line of 100 MB", out -> repeat(out, "w3 w4 ", 17_000_000));
        contents.put("a word of 100 MB", out -> repeat(out, "w", 100_000_000));
        contents.put("a million empty lines", out -> repeat(out, "\n", 1_000_000));
        contents.put("100,000 short lines", out -> repeat(out, "w3\n", 100_000));
        contents.put("a million columns", out -> repeat(out, "text,", 1_000_000));
        contents.put("a million names", out -> {
            for (int i = 0; i < 1_000_000; i++) {
                out.write(("c" + i + ",").getBytes(StandardCharsets.UTF_8));
            }
            out.write("z\n1\n".getBytes(StandardCharsets.UTF_8));
        });
        contents.put("a million quotes", out -> repeat(out, "\"", 1_000_001));
        contents.put("a quote that never ends", out -> {
            repeat(out, "text,label\n\"", 1);
            repeat(out, "w3,w4\n", 100_000);
        });
        contents.put("zero bytes", out -> repeat(out, "\0", 100_000));
        contents.put("carriage returns", out -> repeat(out, "text,label\rw3,a\rw4,b\rw5,c\r", 1));
        contents.put("UTF-16", out -> out.write("text,label\nw3,a\nw4,b\n".getBytes(StandardCharsets.UTF_16)));
        contents.put("broken UTF-8", out -> out.write(new byte[] {'t', 'e', 'x', 't', ',', 'l', 'a', 'b', 'e', 'l',
            '\n', (byte) 0xED, (byte) 0xA0, (byte) 0x80, ',', 'a', '\n'}));
        contents.put("byte order marks", out -> repeat(out, "\ufefftext,label\n\ufeffw3,a\nw4,b\nw5,c\n", 1));
        contents.put("20,000 labels", out -> {
            repeat(out, "text,label\n", 1);
            for (int i = 0; i < 20_000; i++) {
                out.write(("w3,l" + i + "\n").getBytes(StandardCharsets.UTF_8));
            }
        });
        contents.put("a label of 1 MB", out -> {
            repeat(out, "text,label\nw3,a\nw4,", 1);
            repeat(out, "x", 1 << 20);
        });
        contents.put("labels that cannot be seen", out -> repeat(out, "text,label\nw3,\u200b\nw4,\u202e\nw5,a\n", 1));
        contents.put("one label", out -> repeat(out, "text,label\nw3,a\nw4,a\n", 1));
        contents.put("no rows", out -> repeat(out, "text,label\n", 1));
        contents.put("deep JSON", out -> repeat(out, "[", 1_000_000));
        contents.put("JSON numbers", out -> {
            repeat(out, "{\"input_ids\": [1, 3, 1", 1);
            repeat(out, "0", 1_000_000);
            repeat(out, "]}\n", 1);
        });
        contents.put("ids out of range", out -> repeat(out, "{\"input_ids\": [1, -1, 2147483647]}\n", 1));
        contents.put("labels out of range", out -> repeat(out, "{\"input_ids\": [1, 3], \"labels\": [-5, 1e9]}\n", 1));
        contents.put("other lengths", out -> repeat(out, "{\"input_ids\": [1, 3], \"labels\": [3]}\n", 1));
        List<Case> cases = new ArrayList<>();
        contents.forEach((name, content) -> {
            for (String extension : List.of("txt", "csv", "tsv", "json")) {
                String file = "hostile." + extension;
                List<String> command = extension.equals("txt") ? World.with(World.FINETUNE_TEXT, "--train", file)
                        : World.with(World.with(World.FINETUNE_SEQUENCES, "--train", file), "--eval", file);
                Case.Damage damage = (folder, random) -> write(folder.resolve(file), content);
                cases.add(new Case("data: " + name + " ." + extension, damage, command, Expect.ANY));
                cases.add(new Case("data: " + name + " ." + extension + " to evaluate", damage,
                        World.with(extension.equals("txt") ? World.EVALUATE_TEXT : World.EVALUATE_SEQUENCES, "--data",
                                file), Expect.ANY));
            }
            cases.add(new Case("data: " + name + " .jsonl",
                    (folder, random) -> write(folder.resolve("hostile.jsonl"), content),
                    World.with(World.FINETUNE_TEXT, "--train", "hostile.jsonl"), Expect.ANY));
        });
        cases.add(new Case("data: a template of 100 MB",
                (folder, random) -> write(folder.resolve("template"), out -> repeat(out, "{text} ", 15_000_000)),
                World.with(World.with(World.FINETUNE_TEXT, "--train", "train.csv"), "--prompt-template", "template"),
                Expect.REFUSED));
        return cases;
    }

    private static void write(Path file, Content content) throws IOException {
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 20)) {
            content.writeTo(out);
        }
    }

    private static void repeat(OutputStream out, String text, int times) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < times; i++) {
            out.write(bytes);
        }
    }
}
