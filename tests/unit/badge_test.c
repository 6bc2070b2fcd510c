/* Badges and the text in them: whatever a site is called, the picture is well-formed and its text
 * is text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "api/badge.h"
#include "api/markup.h"

static void text_is_never_markup(void **state)
{
    static const struct {
        const char *name, *text, *wanted;
    } rows[] = {
        {"an element", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
        {"the end of an attribute", "\" onload='x", "&quot; onload=&#39;x"},
        {"an entity", "&lt;", "&amp;lt;"},
        {"white space of XML", "a\tb\nc\rd", "a b c d"},
        {"controls that XML has not", "a\x01\x1F", "a\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"two that are no characters", "\xEF\xBF\xBE\xEF\xBF\xBF!", "\xEF\xBF\xBD\xEF\xBF\xBD!"},
        {"their neighbours", "\xEF\xBF\xBD\xEF\xBE\xBF", "\xEF\xBF\xBD\xEF\xBE\xBF"},
        {"letters of any kind", "Caf\xC3\xA9 \xF0\x9F\x98\x80", "Caf\xC3\xA9 \xF0\x9F\x98\x80"},
        {"nothing", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *got = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&got, &len);

        print_message("  %s\n", rows[i].name);
        assert_non_null(out);
        markup_write(out, rows[i].text);
        fclose(out);
        assert_string_equal(got, rows[i].wanted);
        free(got);
    }
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)) != NULL; text++) {
        n++;
    }
    return n;
}

static void a_badge_has_name_state_and_a_text(void **state)
{
    static const struct {
        const char *name, *site, *status, *label, *drawn, *colour;
    } rows[] = {
        {"a site that is down", "shop", "down", "shop: down", ">shop<", "#c62828"},
        {"one that is up", "shop", "up", "shop: up", ">up<", "#1a7f37"},
        {"a degraded one", "shop", "degraded", "shop: degraded", ">degraded<", "#8a5a00"},
        {"one of which nothing is known", "shop", "unknown", "shop: unknown", ">shop<", "#5a6068"},
        {"a name that is markup", "</svg><a b='", "up", "&lt;/svg&gt;&lt;a b=&#39;: up",
         ">&lt;/svg&gt;&lt;a b=&#39;<", "#1a7f37"},
        {"a long name is cut where it is drawn", "0123456789012345678901234567890123456789\xC3\xA9",
         "up", "0123456789012345678901234567890123456789\xC3\xA9: up",
         ">0123456789012345678901234567890123456789\xE2\x80\xA6<", "#1a7f37"},
        {"one that just fits is not, and no character is cut in two",
         "\xC3\xA9"
         "123456789012345678901234567890123456789",
         "up",
         "\xC3\xA9"
         "123456789012345678901234567890123456789: up",
         ">\xC3\xA9"
         "123456789012345678901234567890123456789<",
         "#1a7f37"},
        {"wide letters", "\xE6\xBC\xA2\xE5\xAD\x97", "up", "\xE6\xBC\xA2\xE5\xAD\x97: up",
         "textLength=\"22\"", "#1a7f37"},
        {"an empty name", "", "up", ": up", "textLength=\"0\"", "#1a7f37"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len;
        char *svg = badge_svg(rows[i].site, rows[i].status, &len);

        print_message("  %s\n", rows[i].name);
        assert_int_equal(len, strlen(svg));
        assert_int_equal(count(svg, rows[i].label), 2); /* aria-label and title */
        assert_non_null(strstr(svg, rows[i].drawn));
        assert_non_null(strstr(svg, rows[i].colour));
        assert_int_equal(count(svg, "<svg"), 1);
        assert_int_equal(count(svg, "<text "), 2);
        free(svg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_never_markup),
        cmocka_unit_test(a_badge_has_name_state_and_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
