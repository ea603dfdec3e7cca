package io.vblora.hostile;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The folder that a case works in: two small models with a tokenizer, data, and adapters that the command line has made
 * of them. Every case gets a copy of its own to damage.
 */
final class World {
    static final String WORDS = IntStream.range(3, 40).mapToObj(i -> "\"w" + i + "\": " + i)
            .collect(Collectors.joining(", "));
    /** {@code %s}: the normalizer; {@code %s}: the pre-tokenizer. */
    static final String TOKENIZER = """
            {"version": "1.0", "truncation": null, "padding": null,
             "added_tokens": [
              {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
               "special": true},
              {"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
               "special": true}],
             "normalizer": %s, "pre_tokenizer": %s,
             "post_processor": {"type": "TemplateProcessing",
              "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
              "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
             "decoder": null,
             "model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2,\s"""
            + WORDS + "}}}\n";

    /** Commands that succeed as long as nothing is damaged. */
    static final List<String> FINETUNE_TEXT = words("finetune --model llama --train train.txt --output out "
            + "--vector-length 16 --num-vectors 8 --max-steps 2 --device cpu --threads 1");
    static final List<String> FINETUNE_SEQUENCES = words("finetune --task sequence-classification --model bert "
            + "--train train.csv --eval train.csv --output out --vector-length 8 --num-vectors 8 --max-steps 2 "
            + "--max-seq-length 16 --device cpu --threads 1");
    static final List<String> EVALUATE_TEXT = words("evaluate --model llama --adapter text --data train.txt "
            + "--device cpu --threads 1");
    static final List<String> EVALUATE_SEQUENCES = words("evaluate --model bert --adapter sequences --data train.csv "
            + "--predictions predictions.tsv --device cpu --threads 1");
    static final List<String> INSPECT = words("inspect text");
    static final List<String> DELTA = words("delta --adapter text --output delta.safetensors");

    private World() {}

    static List<String> words(String line) {
        return List.of(line.split(" "));
    }

    /** A command in which the value of an option is another; the option is added if it is not there. */
    static List<String> with(List<String> command, String option, String value) {
        List<String> changed = new ArrayList<>(command);
        int place = changed.indexOf(option);
        if (place < 0) {
            changed.add(option + "=" + value);
        } else {
            changed.set(place + 1, value);
        }
        return changed;
    }

    /** Makes the models and data; the adapters are made by running commands in it. */
    static void create(Path root, Path world) throws IOException {
        copy(root.resolve("tests/golden/models/tinyrand"), world.resolve("llama"));
        copy(root.resolve("tests/golden/seqcls/bert/model"), world.resolve("bert"));
        String tokenizer = TOKENIZER.formatted("null", "{\"type\": \"Whitespace\"}");
        Files.writeString(world.resolve("llama/tokenizer.json"), tokenizer);
        Files.writeString(world.resolve("bert/tokenizer.json"), tokenizer);
        Files.writeString(world.resolve("train.txt"), "w3 w4 w5\nw6 w7\nw8 w9 w10 w11\n".repeat(4));
        Files.writeString(world.resolve("train.csv"), "text,label\nw3 w4,a\nw5 w6 w7,b\nw8,c\n"
                + "w9 w10,a\n".repeat(6));
        Files.writeString(world.resolve("rows.jsonl"), "{\"input_ids\": [1, 3, 4, 5]}\n{\"input_ids\": [1, 6, 7]}\n");
    }

    static void copy(Path from, Path to) {
        try {
            Files.walkFileTree(from, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes)
                        throws IOException {
                    Files.createDirectories(to.resolve(from.relativize(folder)));
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.copy(file, to.resolve(from.relativize(file)));
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static void delete(Path folder) {
        try {
            Files.walkFileTree(folder, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.delete(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path visited, IOException e) throws IOException {
                    Files.delete(visited);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
