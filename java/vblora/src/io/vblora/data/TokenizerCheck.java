package io.vblora.data;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.vblora.InputException;
import io.vblora.regex.Backtracking;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Base64;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Refuses a tokenizer.json that would make the tokenizers library (0.21) end the process, when it opens the file or
 * later, or work without end, instead of refusing it. Where a part's type is not written, the part is recognised by its
 * fields, as the library does.
 *
 * <p>The library ends the process if Oniguruma steps back more than 10^7 times in one attempt to match a regular
 * expression. So an expression must be linear by {@link Backtracking}, as those of all known tokenizers are, and texts
 * have a largest length that keeps the number of steps below that. Other libraries on the JVM read only few kinds of
 * tokenizer.json.
 */
final class TokenizerCheck {
    private static final int MAX_DEPTH = 64;
    private static final int MAX_PARTS = 100;
    /**
     * The library's time is quadratic in their number: it takes some seconds for this many. Models have some thousands.
     */
    private static final int MAX_ADDED_TOKENS = 20_000;
    private static final int MAX_ADDED_CHARACTERS = 1_000_000;
    /** The most characters that a normalizer may insert. */
    private static final int MAX_INSERTED = 1_000;
    /** WordPiece's time is cubic in it; models have 100. */
    private static final int MAX_WORD = 200;

    private static final long MAX_STEPS = 10_000_000;
    /** The most characters of a text as the library holds it after normalization. */
    private static final long MAX_NORMALIZED = 1 << 26;
    private static final int MAX_TEXT = 1 << 20;
    private static final int LEAST_TEXT = 1 << 14;
    /** The most times that Unicode's normal forms can lengthen a text, in characters. */
    private static final int COMPATIBLE_FORM = 18;
    private static final int CANONICAL_FORM = 4;
    private static final int BYTES_OF_CHARACTER = 4;

    private final Path file;
    private int templates;
    private int parts;
    private long steps;
    /** How many times longer than a text its normalized form may be, and then the text that is split. */
    private double expansion = 1;

    private TokenizerCheck(Path file) {
        this.file = file;
    }

    /** Checks a tokenizer and returns the most UTF-16 characters that a text may have that it is to tokenize. */
    static int check(Path file, ObjectNode tokenizer) {
        TokenizerCheck check = new TokenizerCheck(file);
        check.checkAddedTokens(tokenizer.path("added_tokens"));
        check.checkPart("normalizer", tokenizer.path("normalizer"), "normalizers");
        check.checkPart("pre_tokenizer", tokenizer.path("pre_tokenizer"), "pretokenizers");
        check.checkPart("post_processor", tokenizer.path("post_processor"), "processors");
        check.checkPart("decoder", tokenizer.path("decoder"), "decoders");
        check.checkPart("model", tokenizer.path("model"), "");
        check.checkValues(tokenizer.path("decoder"), 0);
        return check.longestText();
    }

    private int longestText() {
        double longest = Math.min(MAX_TEXT, Math.min(MAX_NORMALIZED / expansion, MAX_STEPS / Math.max(1, steps)));
        if (longest < LEAST_TEXT) {
            throw refuse("", "a normalizer that may make a text " + (long) expansion + " times longer, and expressions "
                    + "that step back " + steps + " times for each character of it",
                    "a tokenizer that works on texts of at least " + LEAST_TEXT + " characters");
        }
        return (int) longest;
    }

    private void checkAddedTokens(JsonNode tokens) {
        long characters = 0;
        for (JsonNode token : tokens) {
            characters += token.path("content").asText().length();
        }
        if (tokens.size() > MAX_ADDED_TOKENS || characters > MAX_ADDED_CHARACTERS) {
            throw refuse("added_tokens", tokens.size() + " tokens of " + characters + " characters together",
                    "at most " + MAX_ADDED_TOKENS + " of " + MAX_ADDED_CHARACTERS
                            + ": the tokenizers library takes minutes for more");
        }
    }

    /**
     * The library also accepts an array in place of an object, with the values in their order; no file that it writes
     * has one.
     *
     * @param sequence the field that holds the parts if a part is a sequence of its kind; "" if there is no such part
     */
    private void checkPart(String name, JsonNode part, String sequence) {
        if (part.isArray()) {
            throw refuse(name, "an array", "an object or null");
        }
        if (++parts > MAX_PARTS) {
            throw refuse(name, "more than " + MAX_PARTS + " parts", "a tokenizer of fewer");
        }
        int i = 0;
        for (JsonNode inner : part.path(sequence)) {
            checkPart(name + "." + sequence + "[" + i++ + "]", inner, sequence);
        }
        checkPattern(name, part);
        switch (sequence) {
            case "normalizers" -> {
                checkCharsmap(name, part);
                checkLength(name, part);
            }
            case "pretokenizers" -> {
                if (part.path("type").asText().equals("ByteLevel")) {
                    expansion *= BYTES_OF_CHARACTER; // for what follows
                }
            }
            case "processors" -> checkTemplates(name, part);
            case "decoders" -> checkStrip(name, part);
            case "" -> {
                checkMerges(name, part);
                checkWords(name, part);
            }
            default -> {}
        }
    }

    private void checkPattern(String name, JsonNode part) {
        JsonNode regex = part.path("pattern").path("Regex");
        if (!regex.isTextual()) {
            return;
        }
        try {
            long each = Backtracking.stepsPerCharacter(regex.textValue());
            steps = Math.max(steps, (long) Math.min(MAX_STEPS, Math.ceil(each * expansion)));
        } catch (IllegalArgumentException e) {
            String text = regex.textValue();
            throw new InputException(file.toString(), name + ".pattern.Regex", '"' + (text.length() > 200
                    ? text.substring(0, 200) + "..." : text) + "\", which has " + e.getMessage(),
                    "a regular expression whose time is linear in the text's length", e);
        }
    }

    /** Counts how much longer a normalizer may make a text. */
    private void checkLength(String name, JsonNode normalizer) {
        for (String field : List.of("prepend", "content")) {
            String inserted = normalizer.path(field).asText();
            if (inserted.length() > MAX_INSERTED) {
                throw refuse(name + "." + field, inserted.length() + " characters", "at most " + MAX_INSERTED);
            }
        }
        expansion *= switch (normalizer.path("type").asText()) {
            case "NFC", "NFD" -> CANONICAL_FORM;
            case "NFKC", "NFKD", "BertNormalizer" -> COMPATIBLE_FORM;
            case "Lowercase" -> 3;
            case "ByteLevel" -> BYTES_OF_CHARACTER;
            default -> Math.max(1, normalizer.path("content").asText().length());
        };
    }

    private void checkWords(String name, JsonNode model) {
        JsonNode most = model.path("max_input_chars_per_word");
        if (most.isNumber() && most.doubleValue() > MAX_WORD) {
            throw refuse(name + ".max_input_chars_per_word", most.toString(), "at most " + MAX_WORD
                    + ", or encoding long words takes minutes");
        }
    }

    /**
     * Refuses what JSON allows and the library's parser does not; outside of decoders the library reports that as an
     * error.
     */
    private void checkValues(JsonNode value, int depth) {
        if (depth > MAX_DEPTH || value.isNumber() && !Double.isFinite(value.doubleValue())
                || value.isTextual() && !JsonRows.isUnicode(value.textValue())) {
            throw refuse("decoder", depth > MAX_DEPTH ? "more than " + MAX_DEPTH + " levels"
                    : value.isNumber() ? "an infinite number" : "half of a surrogate pair", "a decoder");
        }
        value.fieldNames().forEachRemaining(name -> checkValues(TextNode.valueOf(name), depth));
        value.forEach(inner -> checkValues(inner, depth + 1));
    }

    /**
     * Refuses a second template (it would be given the pieces of the first one), one that uses a special token that it
     * does not define, and one for a single text that uses the second text of two.
     */
    private void checkTemplates(String name, JsonNode processor) {
        templates += processor.has("single") || processor.has("pair") ? 1 : 0;
        if (templates > 1) {
            throw refuse(name, "a second template", "at most one");
        }
        for (String template : List.of("single", "pair")) {
            for (JsonNode piece : processor.path(template)) {
                String token = piece.path("SpecialToken").path("id").asText();
                if (piece.has("SpecialToken") && !processor.path("special_tokens").has(token)) {
                    throw refuse(name + "." + template, "the special token \"" + token + "\"",
                            "one of " + name + ".special_tokens");
                }
                if (template.equals("single") && piece.has("Sequence")
                        && !piece.get("Sequence").path("id").asText().equals("A")) {
                    throw refuse(name + ".single", piece.toString(), "the sequence A");
                }
            }
        }
    }

    /** Refuses to cut more characters from the end of a token than it has. */
    private void checkStrip(String name, JsonNode decoder) {
        if (decoder.has("stop") && !(decoder.get("stop").isIntegralNumber() && decoder.get("stop").intValue() == 0)) {
            throw refuse(name + ".stop", decoder.get("stop").toString(), "0: a token may be shorter than what is cut");
        }
    }

    /**
     * Refuses a merge whose second part is shorter than the prefix that is cut from it, since the library cuts bytes.
     */
    private void checkMerges(String name, JsonNode model) {
        String prefix = model.path("continuing_subword_prefix").textValue();
        if (prefix == null || !model.has("merges")) {
            return;
        }
        int cut = prefix.getBytes(StandardCharsets.UTF_8).length;
        int i = 0;
        for (JsonNode merge : model.path("merges")) {
            String second = merge.isArray() ? merge.path(1).asText()
                    : merge.asText().substring(merge.asText().indexOf(' ') + 1);
            byte[] bytes = second.getBytes(StandardCharsets.UTF_8);
            if (cut > bytes.length || cut < bytes.length && isWithinCharacter(bytes[cut])) {
                throw refuse(name + ".merges[" + i + "]", "\"" + second + "\" as the second part",
                        "one that begins with the prefix \"" + prefix + "\"");
            }
            i++;
        }
    }

    /**
     * Refuses a broken character map. SentencePiece's is the length of a trie in bytes as uint32, the trie as a double
     * array of uint32, and replacement text in UTF-8 whose pieces end in NUL.
     */
    private void checkCharsmap(String name, JsonNode normalizer) {
        String charsmap = normalizer.path("precompiled_charsmap").asText();
        if (!normalizer.has("precompiled_charsmap") && !normalizer.path("type").asText().equals("Precompiled")) {
            return;
        }
        try {
            byte[] content = Base64.getDecoder().decode(charsmap);
            if (!Base64.getEncoder().encodeToString(content).equals(charsmap)) {
                throw new IllegalArgumentException("base64 that is not canonical");
            }
            ByteBuffer map = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
            int trieBytes = map.remaining() < Integer.BYTES ? -1 : map.getInt();
            if (trieBytes < Integer.BYTES || trieBytes % Integer.BYTES != 0 || trieBytes > map.remaining()) {
                throw new IllegalArgumentException("a trie of " + trieBytes + " bytes");
            }
            int[] trie = new int[trieBytes / Integer.BYTES];
            map.asIntBuffer().get(trie);
            byte[] text = new byte[map.remaining() - trieBytes];
            map.position(map.position() + trieBytes).get(text);
            String replacements = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text)).toString();
            checkTrie(trie, text);
            expansion *= Stream.of(replacements.split("\0")).mapToInt(String::length).reduce(1, Math::max);
        } catch (IllegalArgumentException | CharacterCodingException e) {
            throw new InputException(file.toString(), name + ".precompiled_charsmap", "broken content",
                    "the base64 of SentencePiece's character map", e);
        }
    }

    /**
     * Follows every path that a text may take. A unit holds a character's byte (or, with the highest bit set, a value)
     * in bits 0 to 7, in bit 8 whether it has a value, and from bit 10 up the offset to its children, which is shifted
     * by another eight bits if bit 9 is set.
     */
    private static void checkTrie(int[] trie, byte[] text) {
        Deque<Long> nodes = new ArrayDeque<>();
        Set<Long> seen = new HashSet<>();
        nodes.add(offset(trie[0]));
        while (!nodes.isEmpty()) {
            long node = nodes.remove();
            for (int c = 1; c <= 0xFF; c++) {
                int unit = at(trie, node ^ c);
                if ((unit & 0x800000FF) != c) {
                    continue;
                }
                long child = node ^ c ^ offset(unit);
                if ((unit >> 8 & 1) == 1) {
                    int place = at(trie, child) & Integer.MAX_VALUE;
                    if (place > text.length || place < text.length && isWithinCharacter(text[place])) {
                        throw new IllegalArgumentException("a replacement at " + place + " of " + text.length);
                    }
                }
                if (seen.add(child)) {
                    nodes.add(child);
                }
            }
        }
    }

    private static long offset(int unit) {
        return (long) (unit >>> 10) << ((unit & 1 << 9) >>> 6);
    }

    private static int at(int[] trie, long index) {
        if (index >= trie.length) {
            throw new IllegalArgumentException("a step to " + index + " of " + trie.length);
        }
        return trie[(int) index];
    }

    /** Whether a byte of UTF-8 is not the first one of a character. */
    private static boolean isWithinCharacter(byte b) {
        return (b & 0xC0) == 0x80;
    }

    private InputException refuse(String field, String found, String expected) {
        return new InputException(file, field, found, expected);
    }
}
