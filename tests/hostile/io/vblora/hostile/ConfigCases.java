package io.vblora.hostile;

import io.vblora.hostile.Case.Expect;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Every field of the configurations, with values that it does not expect. */
final class ConfigCases {
    /** A field on a line of its own. */
    private static final Pattern FIELD = Pattern.compile("^\\s*\"(\\w+)\": (.*?)(,?)$", Pattern.MULTILINE);
    private static final List<String> VALUES = List.of("null", "-1", "0", "1", "2147483648", "1e18", "1e400", "0.5",
            "\"x\"", "\"\"", "[]", "[null]", "{}", "true", "NaN", "9".repeat(100_000), "[\"(((a+)+)+)+Z\"]",
            "\"(((a+)+)+)+Z\"");

    private ConfigCases() {}

    static List<Case> all(Path root) throws IOException {
        List<Case> cases = new ArrayList<>();
        add(cases, root.resolve("tests/golden/models/tinyrand/config.json"), "llama/config.json", World.FINETUNE_TEXT);
        add(cases, root.resolve("tests/golden/seqcls/bert/model/config.json"), "bert/config.json",
                World.FINETUNE_SEQUENCES);
        add(cases, root.resolve("tests/golden/seqcls/bert/vblora/adapter_config.json"),
                "text/adapter_config.json", World.EVALUATE_TEXT);
        for (String field : List.of("problem_type", "pooling", "max_seq_length", "id2label")) {
            for (String value : VALUES) {
                cases.add(of("sequences/task_config.json", World.EVALUATE_SEQUENCES, field, value));
            }
        }
        return cases;
    }

    /** @param like a file with the fields that the one in the world has */
    private static void add(List<Case> cases, Path like, String file, List<String> command) throws IOException {
        Matcher fields = FIELD.matcher(Files.readString(like));
        while (fields.find()) {
            if (fields.group(1).matches("[a-z].*") && !fields.group(2).equals("{") && !fields.group(2).equals("[")) {
                for (String value : VALUES) {
                    cases.add(of(file, command, fields.group(1), value));
                }
            }
        }
    }

    private static Case of(String file, List<String> command, String field, String value) {
        String name = value.length() > 40 ? value.length() + " characters" : value;
        return new Case("config: " + file + " " + field + ": " + name,
                (folder, random) -> replace(folder.resolve(file), field, value), command, Expect.ANY);
    }

    /** Replaces a field's value, on one line or many; adds it where it is not there. */
    private static void replace(Path file, String field, String value) throws IOException {
        String text = Files.readString(file);
        String changed = text.replaceFirst("\"" + field + "\"\\s*:\\s*(\\{[^{}]*\\}|\\[[^\\[\\]]*\\]|[^,\\n\\]}]+)",
                Matcher.quoteReplacement("\"" + field + "\": " + value));
        if (changed.equals(text)) {
            changed = text.replaceFirst("\\{", Matcher.quoteReplacement("{\"" + field + "\": " + value + ","));
        }
        Files.writeString(file, changed);
    }
}
