package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Expected selections follow from check_target_module_exists in PEFT's tuners_utils.py, read and applied by hand. */
class ModuleSelectorTest {
    private static final List<ModuleShape> MODEL = new ArrayList<>();

    static {
        for (int layer = 0; layer < 12; layer++) {
            for (String name : List.of("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")) {
                MODEL.add(new ModuleShape("model.layers." + layer + "." + name, 8, 8));
            }
        }
        MODEL.add(new ModuleShape("model.experts.1.sub.3.q_proj", 8, 8));
        MODEL.add(new ModuleShape("lm_head", 8, 100));
    }

    private static List<String> select(VbLoraConfig.Builder builder) {
        return builder.build().modules().select(MODEL).stream().map(ModuleShape::path).toList();
    }

    private static VbLoraConfig.Builder targets(String... names) {
        return VbLoraConfig.builder().targetModules(List.of(names));
    }

    @Test
    void aListMatchesWholeNamesAndSuffixes() {
        assertEquals(13, select(targets("q_proj")).size());
        assertEquals(12, select(targets("self_attn.q_proj")).size());
        assertEquals(List.of("model.layers.3.mlp.down_proj"), select(targets("model.layers.3.mlp.down_proj")));
        assertEquals(List.of("lm_head"), select(targets("lm_head")));
        assertThrows(InputException.class, () -> select(targets("proj")));
    }

    @Test
    void aStringMatchesWholePaths() {
        assertEquals(List.of("model.layers.1.mlp.down_proj", "model.layers.11.mlp.down_proj"),
                select(VbLoraConfig.builder().targetModules("model\\.layers\\.1+\\..*down_proj")));
        assertThrows(InputException.class, () -> select(VbLoraConfig.builder().targetModules("down_proj")));
        assertEquals(12, select(VbLoraConfig.builder().targetModules(".*\\.(?P<part>down)_proj")).size());
    }

    @Test
    void allLinearLeavesTheOutputHeadOut() {
        List<String> all = select(VbLoraConfig.builder().targetModules("all-linear"));
        assertEquals(MODEL.size() - 1, all.size());
        assertTrue(!all.contains("lm_head"));
        assertEquals(all, select(VbLoraConfig.builder().targetModules("ALL-LINEAR")));
    }

    @Test
    void excludedModulesAreLeftOut() {
        assertEquals(24, select(targets("q_proj", "v_proj").excludeModules(List.of("3.q_proj"))).size());
        assertEquals(12, select(VbLoraConfig.builder().targetModules("all-linear").excludeModules(".*(q|v)_proj"))
                .size());
    }

    @Test
    void layersAreThoseOfTheFirstNumber() {
        assertEquals(List.of("model.layers.1.self_attn.q_proj", "model.layers.10.self_attn.q_proj",
                "model.experts.1.sub.3.q_proj"), select(targets("q_proj").layersToTransform(List.of(1, 10))));
        assertEquals(List.of("model.layers.1.self_attn.q_proj"),
                select(targets("q_proj").layersToTransform(List.of(1)).layersPattern(List.of("h", "layers"))));
        // PEFT takes a whole path as it is, whatever the layers.
        assertEquals(List.of("model.layers.1.mlp.down_proj", "model.layers.2.mlp.down_proj"),
                select(targets("down_proj", "model.layers.1.mlp.down_proj").layersToTransform(List.of(2))));
        InputException e = assertThrows(InputException.class,
                () -> select(VbLoraConfig.builder().targetModules("all-linear").layersToTransform(List.of(1))));
        assertEquals("layers_to_transform", e.field());
    }

    @Test
    void anUnknownTargetGetsTheNearestNames() {
        InputException e = assertThrows(InputException.class, () -> select(targets("q_proj", "down_porj")));
        assertEquals("target_modules", e.field());
        assertTrue(e.found().contains("down_porj"), e.getMessage());
        assertTrue(e.expected().contains("nearest are down_proj"), e.getMessage());
        InputException path = assertThrows(InputException.class, () -> select(targets("layers.3.mlp.down_prj")));
        assertTrue(path.expected().contains("layers.3.mlp.down_proj"), path.getMessage());
    }

    @Test
    void nothingToSelectIsAnError() {
        for (VbLoraConfig.Builder none : List.of(VbLoraConfig.builder(), targets(),
                targets("q_proj").excludeModules(List.of("q_proj")),
                targets("q_proj").layersToTransform(List.of(77)))) {
            InputException e = assertThrows(InputException.class, () -> select(none));
            assertEquals("target_modules", e.field());
        }
    }

    @Test
    void editDistance() {
        assertEquals(3, NearestNames.distance("kitten", "sitting"));
        assertEquals(4, NearestNames.distance("", "abcd"));
        assertEquals(0, NearestNames.distance("same", "same"));
    }

    @Test
    void numbersAreOrderedByValue() {
        List<String> paths = List.of("a.10.x", "a.2.x", "a.2", "a.02.x", "b", "a.9999999999999999999999.x", "a.x");
        assertEquals(List.of("a.2", "a.02.x", "a.2.x", "a.10.x", "a.9999999999999999999999.x", "a.x", "b"),
                paths.stream().sorted(NaturalOrder.INSTANCE).toList());
    }

    private static List<String> withoutEnd() {
        return List.of("(([a-z_.0-9]+)+)+Z", ".*.*.*.*.*.*.*.*.*Z", "(?=(([a-z_.0-9]+)+)+Z).*",
                "((){2000000000}){2000000000}Z", "(?:(?:a{0}){2000000000}){2000000000}Z",
                "((?=){2000000000}){2000000000}Z", ".*" + "(|)".repeat(40) + "Z", ".*" + "(?:a?|b?)".repeat(40) + "Z",
                ".*" + "(?!Z)?(?<!Z)?".repeat(20) + "Z", ".*" + "(?i:)?(?<=)?(?>)??".repeat(20) + "Z",
                ".*" + "(|)".repeat(40) + "a?".repeat(2000) + "Z");
    }

    /**
     * Java's matcher takes exponentially many steps for each of these, or goes round in a loop that reads nothing: ten
     * seconds are more than the bounded one takes for all of them, and less than the other takes for one.
     */
    @ParameterizedTest
    @MethodSource("withoutEnd")
    void expressionsThatBacktrackWithoutEndAreRefused(String regex) {
        List<ModuleShape> model = List.of(new ModuleShape("base.encoder.layers.0.attention.output.dense.q_proj", 8, 8));
        InputException target = assertTimeoutPreemptively(Duration.ofSeconds(10),
                () -> assertThrows(InputException.class, () -> VbLoraConfig.builder().targetModules(regex).build()
                        .modules().select(model)));
        assertEquals("target_modules", target.field());
        assertTrue(target.found().startsWith('"' + regex.substring(0, Math.min(regex.length(), 200)))
                && target.found().contains("\", which takes too many steps to match base."), target.getMessage());
        InputException excluded = assertTimeoutPreemptively(Duration.ofSeconds(10), () -> assertThrows(
                InputException.class, () -> targets("q_proj").excludeModules(regex).build().modules().select(model)));
        assertEquals("exclude_modules", excluded.field());
        InputException layers = assertTimeoutPreemptively(Duration.ofSeconds(10), () -> assertThrows(
                InputException.class, () -> targets("q_proj").layersToTransform(List.of(0))
                        .layersPattern(List.of(regex)).build().modules().select(model)));
        assertEquals("layers_pattern", layers.field());
    }

    private static void assertRefused(String regex, String what, int character) {
        assertEquals("target_modules: found \"" + regex + "\"; expected a regular expression (without " + what
                + ", as character " + character + " begins)",
                assertThrows(InputException.class, () -> VbLoraConfig.builder().targetModules(regex).build())
                        .getMessage().replace("VbLoraConfig: ", ""));
    }

    /** Python refuses them as well, but for the first. */
    @ParameterizedTest
    @CsvSource(delimiter = ' ', value = {"(a?)\\1* 7", ".*$?Z 4", "(\\b{9})+ 4", "a{2}{9} 5", "(?:|{9})+ 5",
        "(?i){9}Z 5", "{9} 1", "(?:^)(^*) 8"})
    void repetitionsOfWhatReadsNothingAreRefused(String regex, int character) {
        assertRefused(regex, "a repetition of what reads no character", character);
    }

    @ParameterizedTest
    @CsvSource(delimiter = ' ', value = {"a\\Q(\\E 2", "(?x)(a) 1", "a|[b&&c] 3", "[[a]b] 1", "\\p{L}+ 1", "(?:\\c() 4",
        "(?U:a) 1"})
    void whatPythonReadsDifferentlyIsRefused(String regex, int character) {
        assertRefused(regex, "what Python does not know, or Java reads differently", character);
    }

    /** As configurations have them, and with each kind of part; what matches, Java's matcher as it is says. */
    @ParameterizedTest
    @ValueSource(strings = {".*\\.(q|k|v|o)_proj", "model\\.layers\\.(1[0-9]|2[0-3])\\..*", "^(?!.*lm_head).*proj$",
        "(?:.*?(?:language|text|model).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?"
                + "(?:k_proj|v_proj|q_proj|out_proj|fc1|fc2|o_proj|gate_proj|up_proj|down_proj).*?)|(?:\\bmodel\\."
                + "layers\\.[\\d]{1,}\\.(?:self_attn|mlp)\\.(?:(?:q_proj|down_proj)))",
        "(?i)MODEL\\.(?-i:layers)\\.\\d+?\\.(?P<block>mlp|self_attn)\\.\\w{6,9}", "(?<=)(\\w+(?:\\.|$))+?(?<!head)",
        "[^]l][^\\]\\d&]*+(?>.*\\.)(?:q|v|(?:down))_proj\\Z", "(\\w)(\\w)*\\..*\\2.*", "\\x6d.*[}\\x70]ro\\u006a|}]"})
    void expressionsMatchAsBefore(String regex) {
        Pattern pattern = Pattern.compile(regex.replace("(?P<", "(?<"));
        List<String> expected = MODEL.stream().map(ModuleShape::path).filter(path -> pattern.matcher(path).matches())
                .toList();
        assertFalse(expected.isEmpty());
        assertEquals(expected, select(VbLoraConfig.builder().targetModules(regex)));
    }

    @Test
    void alternativesMayBeMany() {
        String layers = IntStream.range(0, 10_000).mapToObj(i -> "\\d{0}" + i).collect(Collectors.joining("|"));
        String regex = "model\\.layers\\.(?:" + layers + ")\\..*";
        assertEquals(36, select(VbLoraConfig.builder().targetModules(regex)).size());
    }

    @Test
    void expressionsThatNestTooDeeplyAreRefused() {
        InputException e = assertThrows(InputException.class,
                () -> select(VbLoraConfig.builder().targetModules("(".repeat(100_000) + ")".repeat(100_000))));
        assertEquals("target_modules", e.field());
        assertTrue(e.getMessage().length() < 1000, e.getMessage());
    }
}
