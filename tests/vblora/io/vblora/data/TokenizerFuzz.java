package io.vblora.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import io.vblora.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Random;

/**
 * Opens and uses tokenizers made at random from valid parts and then damaged, in a process of its own: the native
 * library may end it. Prints the number of each case before it is run, and at the end how many were opened.
 */
final class TokenizerFuzz {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private static final List<JsonNode> NORMALIZERS = parts("""
            null
            {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
             "lowercase": true}
            {"type": "Strip", "strip_left": true, "strip_right": true}
            {"type": "StripAccents"}
            {"type": "NFKC"}
            {"type": "Lowercase"}
            {"type": "Nmt"}
            {"type": "ByteLevel"}
            {"type": "Prepend", "prepend": "\u2581"}
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
            {"type": "Precompiled", "precompiled_charsmap": "%s"}
            {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]}
            """.formatted(charsmap()));
    private static final List<JsonNode> PRE_TOKENIZERS = parts("""
            null
            {"type": "BertPreTokenizer"}
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
            {"type": "CharDelimiterSplit", "delimiter": "_"}
            {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": true}
            {"type": "Whitespace"}
            {"type": "WhitespaceSplit"}
            {"type": "Punctuation", "behavior": "Isolated"}
            {"type": "Digits", "individual_digits": true}
            {"type": "UnicodeScripts"}
            {"type": "Split", "pattern": {"Regex": "\\\\s+|[a-c]"}, "behavior": "MergedWithNext", "invert": false}
            {"type": "Split", "pattern": {"String": "a"}, "behavior": "Removed", "invert": true}
            {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Punctuation",
             "behavior": "Contiguous"}]}
            """);
    private static final List<JsonNode> POST_PROCESSORS = parts("""
            null
            {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]}
            {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": true,
             "add_prefix_space": true}
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
             {"Sequence": {"id": "A", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}},
             {"SpecialToken": {"id": "</s>", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
             "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}
            {"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
             "use_regex": true}, {"type": "TemplateProcessing",
             "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 0}}],
             "pair": [{"Sequence": {"id": "B", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 1}}],
             "special_tokens": {"<s>": {"id": "<s>", "ids": [1, 2], "tokens": ["<s>", "</s>"]}}}]}
            """);
    private static final List<JsonNode> DECODERS = parts("""
            null
            {"type": "BPEDecoder", "suffix": "</w>"}
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}
            {"type": "WordPiece", "prefix": "##", "cleanup": true}
            {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": true}
            {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true}
            {"type": "Fuse"}
            {"type": "ByteFallback"}
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
            {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
             {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 1}]}
            """);
    private static final List<JsonNode> MODELS = parts("""
            {"type": "WordLevel", "unk_token": "<unk>", "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "the": 3, "bank": 4}}
            {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##",
             "max_input_chars_per_word": 100,
             "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "the": 3, "ba": 4, "##nk": 5, "##\u00e9": 6}}
            {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
             "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
             "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "t": 3, "h": 4, "e": 5, "th": 6, "the": 7, "<0xC3>": 8},
             "merges": [["t", "h"], ["th", "e"]]}
            {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "##",
             "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
             "vocab": {"a": 0, "##b": 1, "ab": 2, "ab</w>": 3, "##b</w>": 4, "<s>": 5},
             "merges": ["a ##b", "a ##b</w>"]}
            {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["<s>", 0.0],
             ["</s>", 0.0], ["\u2581", -2.0], ["\u2581the", -3.5], ["t", -4.0], ["he", -4.5]]}
            """);
    private static final JsonNode ADDED = parts("""
            [{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false,
              "normalized": false, "special": true},
             {"id": 1, "content": "<s>", "single_word": false, "lstrip": true, "rstrip": true, "normalized": false,
              "special": true},
             {"id": 9, "content": "new", "single_word": true, "lstrip": false, "rstrip": false, "normalized": true,
              "special": false}]
            """).get(0);
    private static final List<JsonNode> LIMITS = parts("""
            null
            {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
            {"strategy": {"Fixed": 16}, "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0,
             "pad_token": "<unk>"}
            """);
    private static final List<JsonNode> VALUES = parts("""
            null true false 0 1 -1 2 3 7 255 4294967295 4294967296 -2147483649 1e308 -0.5 18446744073709551615 [] {}
            [null] [[]] {"": 0} "" " " "a" "\\u0000" "\u00e9" "\ud83e\udd99" "(" "[a" "(?<x>a)+" "a*" "^" "$A" "$B:1"
            "$" "<s>" "<none>" "##" "AAAA" "Regex" "String" "Sequence" "Never" "MergedWithPrevious" "\\ud800"
            """);
    private static final List<String> TEXTS = List.of("the bank", "", " ", "ab  a_b", "<s>the</s> new", "na\u00efve",
            "e\u0301\u0301 \u6f22\u5b57\ud83e\udd99", "\u0000\u2581\ufffd", "1,234.5!?", "thethethe\n\tbank");

    private final Random random;

    private TokenizerFuzz(long seed) {
        this.random = new Random(seed);
    }

    /** Arguments: an empty folder, the first case and the number of cases. */
    public static void main(String[] arguments) throws IOException {
        Path file = Path.of(arguments[0]).resolve("tokenizer.json");
        long first = Long.parseLong(arguments[1]);
        int opened = 0;
        for (long seed = first; seed < first + Long.parseLong(arguments[2]); seed++) {
            System.out.println(seed);
            Files.write(file, new TokenizerFuzz(seed).file());
            opened += use(file) ? 1 : 0;
        }
        System.out.println("opened " + opened);
    }

    private static boolean use(Path file) {
        try (Tokenizer tokenizer = Tokenizer.open(file)) {
            for (String text : TEXTS) {
                try {
                    int[] ids = tokenizer.encode(text);
                    tokenizer.encode(text, TEXTS.get(0), 6);
                    tokenizer.decode(ids);
                } catch (InputException e) {
                    requireNamed(file, e);
                }
            }
            tokenizer.decode(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99);
            return true;
        } catch (InputException e) {
            requireNamed(file, e);
            return false;
        }
    }

    private static void requireNamed(Path file, InputException e) {
        if (!e.source().startsWith(file.toString()) && !e.source().equals("max_seq_length")) {
            throw new AssertionError("not named: " + e, e);
        }
    }

    private byte[] file() throws IOException {
        ObjectNode root = NODES.objectNode();
        root.put("version", "1.0");
        root.set("truncation", pick(LIMITS.subList(0, 2)));
        root.set("padding", LIMITS.get(random.nextInt(2) * 2).deepCopy());
        root.set("added_tokens", random.nextInt(3) == 0 ? NODES.arrayNode() : ADDED.deepCopy());
        root.set("normalizer", pick(NORMALIZERS));
        root.set("pre_tokenizer", pick(PRE_TOKENIZERS));
        root.set("post_processor", pick(POST_PROCESSORS));
        root.set("decoder", pick(DECODERS));
        root.set("model", pick(MODELS));
        for (int n = random.nextInt(4); n > 0; n--) {
            mutate(root);
        }
        // Escaped, halves of surrogate pairs stay what they are; else they become question marks
        StringBuilder text = new StringBuilder(JSON.writer().with(random.nextBoolean()
                ? JsonWriteFeature.ESCAPE_NON_ASCII : JsonWriteFeature.QUOTE_FIELD_NAMES).writeValueAsString(root));
        if (random.nextInt(20) == 0) {
            text.setCharAt(random.nextInt(text.length()), "\"{}[],:0a\u00e9".charAt(random.nextInt(10)));
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    /** Changes one value somewhere in the tree. */
    private void mutate(ObjectNode root) {
        List<JsonNode> holders = new ArrayList<>();
        collect(root, holders);
        JsonNode holder = holders.get(random.nextInt(holders.size()));
        if (holder.isEmpty()) {
            return;
        }
        int index = random.nextInt(holder.size());
        if (holder instanceof ArrayNode array) {
            switch (random.nextInt(4)) {
                case 0 -> array.remove(index);
                case 1 -> array.insert(index, array.get(random.nextInt(array.size())).deepCopy());
                default -> array.set(index, changed(root, array.get(index)));
            }
        } else if (holder instanceof ObjectNode object) {
            List<String> names = new ArrayList<>();
            object.fieldNames().forEachRemaining(names::add);
            String name = names.get(index);
            switch (random.nextInt(6)) {
                case 0 -> object.remove(name);
                case 1 -> object.set(changed(root, TextNode.valueOf(name)).asText(), object.remove(name));
                default -> object.set(name, changed(root, object.get(name)));
            }
        }
    }

    private JsonNode changed(ObjectNode root, JsonNode value) {
        if (value.isTextual() && random.nextInt(3) == 0) {
            StringBuilder text = new StringBuilder(value.asText());
            String inserted = pick(VALUES).asText();
            text.insert(random.nextInt(text.length() + 1), inserted.isEmpty() ? "b" : inserted);
            return TextNode.valueOf(text.toString());
        }
        if (value.isTextual() && !value.asText().isEmpty() && random.nextInt(2) == 0) {
            StringBuilder text = new StringBuilder(value.asText());
            text.setCharAt(random.nextInt(text.length()), (char) ('A' + random.nextInt(26)));
            return TextNode.valueOf(text.toString());
        }
        if (value.isInt() && random.nextInt(2) == 0) {
            return NODES.numberNode(value.intValue() + random.nextInt(5) - 2);
        }
        if (random.nextInt(4) == 0) {
            List<JsonNode> holders = new ArrayList<>();
            collect(root, holders);
            return holders.get(random.nextInt(holders.size())).deepCopy();
        }
        return pick(VALUES);
    }

    private static void collect(JsonNode node, List<JsonNode> holders) {
        if (node.isContainerNode()) {
            holders.add(node);
            node.forEach(child -> collect(child, holders));
        }
    }

    private JsonNode pick(List<JsonNode> from) {
        return from.get(random.nextInt(from.size())).deepCopy();
    }

    /** The values of a text, one after the other. */
    private static List<JsonNode> parts(String text) {
        try (JsonParser parser = JSON.createParser(text)) {
            List<JsonNode> parts = new ArrayList<>();
            while (parser.nextToken() != null) {
                parts.add(JSON.readTree(parser));
            }
            return parts;
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /**
     * SentencePiece's character map, in base64: "a" becomes "b", "t" nothing, "e" "\u00e9\u00e9" and U+0001 a space.
     * The trie's root leads to the block from 256, where each character has its place, and each of these to the first
     * block, where the replacement's place in the text stands.
     */
    private static String charsmap() {
        byte[] text = "b\0\0\u00e9\u00e9\0 ".getBytes(StandardCharsets.UTF_8);
        ByteBuffer map = ByteBuffer.allocate(4 + 4 * 512 + text.length).order(ByteOrder.LITTLE_ENDIAN);
        map.putInt(0, 4 * 512).putInt(4, 256 << 10);
        char[] characters = {'a', 't', 'e', 1};
        int[] places = {0, 2, 3, 8};
        for (int i = 0; i < characters.length; i++) {
            map.putInt(4 + 4 * (256 + characters[i]), 256 << 10 | 1 << 8 | characters[i]);
            map.putInt(4 + 4 * characters[i], 1 << 31 | places[i]);
        }
        map.position(4 + 4 * 512).put(text);
        return Base64.getEncoder().encodeToString(map.array());
    }
}
