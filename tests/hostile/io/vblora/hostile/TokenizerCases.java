package io.vblora.hostile;

import io.vblora.hostile.Case.Damage;
import io.vblora.hostile.Case.Expect;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Tokenizers that a library could break on. */
final class TokenizerCases {
    /** The patterns, as JSON has them. */
    private static final List<String> PATTERNS = List.of("(.*)*x", "(a+)+$", "(a|a)*b", "(\\\\w+\\\\s?)*!", "((a*)*)*b",
            "(?=(a+))*b", "[", "(", "(?<n>", "\\\\", "a{2147483647}", "(a{1000}){1000}", "(?i)(\u017f+)+x",
            "\\\\p{Nope}", "",
            "(w|w\\\\d)*$", ".*.*.*.*.*.*x", "(?:w+\\\\d*)+?y", "(.)\\\\1+(.)*z", "(?<=a*)b");

    private TokenizerCases() {}

    static List<Case> all() {
        List<Case> cases = new ArrayList<>();
        for (String pattern : PATTERNS) {
            cases.add(of("pre-tokenizer " + pattern, "null",
                    "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"" + pattern
                            + "\"}, \"behavior\": \"Isolated\", \"invert\": false}"));
            cases.add(of("normalizer " + pattern, "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Replace\", "
                    + "\"pattern\": {\"Regex\": \"" + pattern + "\"}, \"content\": \"w\"}]}",
                    "{\"type\": \"Whitespace\"}"));
        }
        cases.add(of("a normalizer that prepends 1 MB", "{\"type\": \"Prepend\", \"prepend\": \"" + "x".repeat(1 << 20)
                + "\"}", "{\"type\": \"Whitespace\"}"));
        cases.add(of("a normalizer that puts in 1 MB", "{\"type\": \"Replace\", \"pattern\": {\"String\": \"w\"}, "
                + "\"content\": \"" + "x".repeat(1 << 20) + "\"}", "{\"type\": \"Whitespace\"}"));
        cases.add(of("a normalizer of 1,000", sequence("normalizers", "{\"type\": \"NFD\"}", 1000),
                "{\"type\": \"Whitespace\"}"));
        for (int tokens : new int[] {10_000, 40_000, 100_000}) {
            String added = IntStream.range(0, tokens).mapToObj(i -> "{\"id\": " + (i + 50) + ", \"content\": \"<t" + i
                    + ">\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, "
                    + "\"special\": true}").collect(Collectors.joining(",", ",", "]"));
            cases.add(text("tokenizer: " + tokens + " added tokens", World.TOKENIZER.formatted("null",
                    "{\"type\": \"Whitespace\"}").replaceFirst("\\}\\],", "}" + added + ",")));
        }
        return cases;
    }

    private static String sequence(String name, String part, int times) {
        return "{\"type\": \"Sequence\", \"" + name + "\": ["
                + String.join(",", java.util.Collections.nCopies(times, part))
                + "]}";
    }

    private static Case of(String name, String normalizer, String preTokenizer) {
        return text("tokenizer: " + name, World.TOKENIZER.replaceFirst("%s",
                java.util.regex.Matcher.quoteReplacement(normalizer)).replaceFirst("%s",
                        java.util.regex.Matcher.quoteReplacement(preTokenizer)));
    }

    private static Case text(String name, String tokenizer) {
        Damage damage = (folder, random) -> {
            Files.writeString(folder.resolve("llama/tokenizer.json"), tokenizer);
            Files.writeString(folder.resolve("train.txt"), "w".repeat(30_000) + "\n" + "a ".repeat(10_000)
                    + "\nw3 w4\n");
        };
        return new Case(name, damage, World.FINETUNE_TEXT, Expect.ANY);
    }
}
