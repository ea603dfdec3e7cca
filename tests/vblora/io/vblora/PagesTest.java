package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What pages of the documentation name in this checkout is there. */
class PagesTest {
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)|(?:src|srcset|href)=\"([^\"]+)\"");
    private static final Pattern HEADING = Pattern.compile("(?m)^#+ +(.+)$");
    /** A file or folder by its whole path; with a placeholder or pattern in it, it is none. */
    private static final Pattern PATH = Pattern.compile("(?:cmake|docs|java|native|tests|[.]ci)/[\\w./-]*");

    @Test
    void linksLeadSomewhere() throws IOException {
        List<String> broken = new ArrayList<>();
        int links = 0;
        for (Page page : Page.all()) {
            for (String link : LINK.matcher(page.prose()).results().map(PagesTest::target).toList()) {
                if (!link.startsWith("http")) {
                    links++;
                    if (!leads(page, link)) {
                        broken.add(page.name() + ": " + link);
                    }
                }
            }
        }
        assertTrue(links > 20, links + " links");
        assertEquals(List.of(), broken);
    }

    private static String target(MatchResult link) {
        return link.group(1) != null ? link.group(1) : link.group(2);
    }

    private static boolean leads(Page page, String link) throws IOException {
        String[] parts = link.split("#", 2);
        Path file = parts[0].isEmpty() ? page.file() : page.file().resolveSibling(parts[0]).normalize();
        return Files.exists(file) && (parts.length == 1 || anchors(Files.readString(file)).contains(parts[1]));
    }

    /** The anchors that forges give to headings. */
    private static Set<String> anchors(String markdown) {
        return HEADING.matcher(markdown).results()
                .map(found -> found.group(1).toLowerCase(Locale.ROOT).replaceAll("[^\\w -]", "").replace(' ', '-'))
                .collect(Collectors.toSet());
    }

    @Test
    void pathsExist() {
        List<String> missing = new ArrayList<>();
        int paths = 0;
        for (Page page : Page.all()) {
            if (page.name().startsWith("docs/results/")) {
                continue; // dated: they name what was there then
            }
            for (String code : page.inlineCode()) {
                if (PATH.matcher(code).matches()) {
                    paths++;
                    if (!Files.exists(Page.ROOT.resolve(code))) {
                        missing.add(page.name() + ": " + code);
                    }
                }
            }
        }
        assertTrue(paths > 20, paths + " paths");
        assertEquals(List.of(), missing);
    }

    @Test
    void everyPageIsInTheIndex() {
        String index = Page.of("docs/README.md").text();
        assertEquals(List.of(), Page.all().stream().map(Page::name)
                .filter(name -> name.startsWith("docs/") && !name.equals("docs/README.md"))
                .filter(name -> !index.contains("(" + name.substring("docs/".length()) + ")")).toList());
    }

    @Test
    void theReadmeIsReadInTwoMinutes() {
        long lines = Page.of("README.md").text().lines().count();
        assertTrue(lines < 200, lines + " lines");
    }
}
