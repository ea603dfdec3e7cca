package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Page;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The commands in the pages of the documentation are commands, and their options are options. */
class PagesCommandTest {
    private static final Pattern OPTION = Pattern.compile("--(\\[no-])?([a-z][a-z0-9-]*)");
    private static final Set<String> OF_THE_COMMAND_LINE =
            Set.of("finetune", "evaluate", "inspect", "delta", "doctor", "bench kernels");
    private static final Set<String> OF_THE_LAUNCHER = Set.of("demo", "test", "bench admixture", "bundle");
    /** Where programs say which options they have, beside the command line's help. */
    private static final List<String> OTHER_PROGRAMS =
            List.of("vblora", "java/bundle/vblora", "native/bench/main.cpp", "tests/gpu/check", "tests/hostile/hostile",
                    "tests/bench/demo_scores.py");

    @Test
    void commandsAreUnderstood() throws IOException {
        List<String> wrong = new ArrayList<>();
        Set<String> seen = new TreeSet<>();
        for (Page page : Page.all()) {
            for (String block : page.blocks("")) {
                for (String line : block.replaceAll("\\\\\n", " ").lines().toList()) {
                    String command = line.replaceFirst("(^|\\s)#.*", "")
                            .replaceFirst("^\\s*([A-Z_]+=\\S+ +)*", "").strip();
                    String problem = problem(command, seen);
                    if (problem != null) {
                        wrong.add(page.name() + ": " + command + ": " + problem);
                    }
                }
            }
        }
        assertEquals(List.of(), wrong);
        assertTrue(seen.containsAll(OF_THE_COMMAND_LINE) && seen.containsAll(OF_THE_LAUNCHER), () -> "only " + seen);
    }

    /** What is wrong with a line of a block; null if nothing is, or if it runs another program. */
    private static String problem(String line, Set<String> seen) throws IOException {
        List<String> words = Arrays.asList(line.split("\\s+"));
        if (!words.get(0).equals("./vblora")) {
            Path script = Page.ROOT.resolve(words.get(words.get(0).equals("python3") ? 1 : 0));
            return !script.startsWith(Page.ROOT.resolve("tests")) ? null
                    : !Files.isExecutable(script) && !Files.isRegularFile(script) ? "is not there"
                    : missing(line, Files.readString(script));
        }
        String name = words.size() > 2 && words.get(1).equals("bench") ? "bench " + words.get(2)
                : words.size() > 1 ? words.get(1) : "";
        if (name.equals("COMMAND") || name.startsWith("-") || name.isEmpty()) {
            return null;
        }
        seen.add(name);
        if (OF_THE_LAUNCHER.contains(name)) {
            return missing(line, Files.readString(Page.ROOT.resolve("vblora")));
        }
        if (!OF_THE_COMMAND_LINE.contains(name)) {
            return "is no command";
        }
        List<String> arguments = new ArrayList<>(words.subList(1, words.size()));
        arguments.add("--help"); // nothing is run then, but values are read
        CommandLineRun run = CommandLineRun.of(arguments.toArray());
        return run.exitCode() != 0 ? run.err() : missing(line, run.out());
    }

    /** The first option that a help or script does not have; null if it has all. */
    private static String missing(String text, String help) {
        Set<String> known = options(help).collect(Collectors.toSet());
        return options(text).filter(option -> !known.contains(option)).findFirst().map(option -> "has no --" + option)
                .orElse(null);
    }

    private static Stream<String> options(String text) {
        return OPTION.matcher(text).results().flatMap(PagesCommandTest::names);
    }

    private static Stream<String> names(MatchResult option) {
        return option.group(1) == null ? Stream.of(option.group(2))
                : Stream.of(option.group(2), "no-" + option.group(2));
    }

    @Test
    void optionsInSentencesExist() throws IOException {
        List<Page> pages = Page.all();
        StringBuilder helps = new StringBuilder();
        for (String command : OF_THE_COMMAND_LINE) {
            helps.append(CommandLineRun.of((Object[]) (command + " --help").split(" ")).assertDone().out());
        }
        for (String program : OTHER_PROGRAMS) {
            helps.append(Files.readString(Page.ROOT.resolve(program)));
        }
        List<String> wrong = new ArrayList<>();
        for (Page page : pages) {
            if (page.name().startsWith("docs/results/")) {
                continue; // dated: they name what was there then
            }
            for (String code : page.inlineCode()) {
                String problem = code.startsWith("--") || code.startsWith("./vblora ") ? missing(code, helps.toString())
                        : null;
                if (problem != null) {
                    wrong.add(page.name() + ": " + code + ": " + problem);
                }
            }
        }
        assertEquals(List.of(), wrong);
    }
}
