package io.vblora;

import io.vblora.kernels.Prerequisite;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** A page of the documentation: README.md and the other Markdown files beside it, and those in docs. */
public record Page(Path file, String text) {
    public static final Path ROOT = Path.of(System.getProperty("vblora.root"));

    private static final Pattern BLOCK = Pattern.compile("(?ms)^```(\\S*)\n(.*?)^```$");
    private static final Pattern INLINE_CODE = Pattern.compile("`([^`\n]+)`");

    /** All pages. Where there is no checkout, as in a bundle, the test is skipped. */
    public static List<Page> all() {
        Prerequisite.check(Files.exists(ROOT.resolve("docs")), "a checkout, for its pages");
        try (Stream<Path> beside = Files.list(ROOT); Stream<Path> docs = Files.walk(ROOT.resolve("docs"))) {
            return Stream.concat(beside, docs).filter(file -> file.toString().endsWith(".md")).sorted().map(Page::read)
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The page with this path in the checkout. */
    public static Page of(String path) {
        return all().stream().filter(page -> page.name().equals(path)).findFirst().orElseThrow();
    }

    private static Page read(Path file) {
        try {
            return new Page(file, Files.readString(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The page's path in the checkout. */
    public String name() {
        return ROOT.relativize(file).toString();
    }

    /** The blocks of code in these languages; "" is the one of blocks that name none, which are commands. */
    public List<String> blocks(String... languages) {
        return BLOCK.matcher(text).results().filter(found -> Set.of(languages).contains(found.group(1)))
                .map(found -> found.group(2)).toList();
    }

    /** The text without blocks of code. */
    public String prose() {
        return BLOCK.matcher(text).replaceAll("");
    }

    /** What stands between backquotes in the text. */
    public List<String> inlineCode() {
        return INLINE_CODE.matcher(prose()).results().map(found -> found.group(1)).toList();
    }
}
