//! The web client with texts and names that would leave their place: written from right to left,
//! with stacks of marks, or with control characters of direction.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Browser, PHONE, Person, service};

/// A long text that is written from right to left.
const HEBREW: &str = "בראשית ברא אלהים את השמים ואת הארץ והארץ היתה תהו ובהו וחשך על פני תהום \
                      ורוח אלהים מרחפת על פני המים ויאמר אלהים יהי אור ויהי אור";

/// Names that end in the middle of a direction: one is turned around, one leaves its isolation
/// first.
const TURNED: [&str; 2] = ["Team \u{202e}evil", "Team \u{2069}\u{202c}\u{202e}evil"];

/// A word under stacks of so many marks.
fn stacked(marks: usize) -> String {
    let marks: String = ('\u{300}'..='\u{30f}').cycle().take(marks).collect();
    ["W", "o", "r", "d"]
        .map(|letter| format!("{letter}{marks}"))
        .concat()
}

/// Functions of the page: what a character of an element's text covers.
const LOOK: &str = "
    const place = (of, word, end) => {
        const walk = document.createTreeWalker(of, NodeFilter.SHOW_TEXT);
        for (let node = walk.nextNode(); node; node = walk.nextNode()) {
            const at = node.data.indexOf(word);
            if (at < 0) continue;
            const range = document.createRange();
            range.setStart(node, end ? at + word.length - 1 : at);
            range.setEnd(node, end ? at + word.length : at + 1);
            return range.getBoundingClientRect();
        }
        throw new Error(`no ${word} in ${of.textContent}`);
    };";

/// Whether the beginning of a text can be seen in the element that holds it, and its end cannot.
async fn shows_the_beginning(person: &Person<'_>, selector: &str) -> bool {
    let (first, last) = (
        &HEBREW[.."בראשית".len()],
        &HEBREW[HEBREW.len() - "אור".len()..],
    );
    let script = format!(
        "{LOOK} const of = document.querySelector('{selector}');
         const box = of.getBoundingClientRect();
         const isWithin = ({{ left, right }}) => left >= box.left - 1 && right <= box.right + 1;
         const [begin, end] = [place(of, '{first}', false), place(of, 'ויהי {last}', true)];
         return isWithin(begin) && !isWithin(end);"
    );
    person.run(&script).await == true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_from_right_to_left_shows_its_beginning_in_every_preview() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let chat = jane.chat("Team", &["john"]).await;
    let sent = jane.send("john", HEBREW).await;
    jane.post(json!({ "to": "john", "text": "an answer", "replyTo": sent["id"] }))
        .await
        .expect(201);
    jane.post_into(chat, HEBREW).await;
    replica.user("john").send("jim", HEBREW).await;
    jane.call(
        Method::POST,
        "/chats",
        json!({ "name": HEBREW, "members": ["john"] }),
    )
    .await
    .expect(201);
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.until("document.querySelectorAll('#conversations a .name').length === 4")
        .await;
    john.opens("jane").await;
    john.sees("an answer").await;
    john.until("document.querySelector('.quote')").await;
    john.acts_on(HEBREW, "Reply").await;
    let row = |key: &str| format!("[data-key=\"{key}\"]");
    for (what, selector) in [
        ("a chat's message", format!("{} .gist", row("chats/1"))),
        ("one's own message", format!("{} .gist", row("users/jim"))),
        ("a chat's name", format!("{} .name", row("chats/2"))),
        ("a quotation", ".quote".to_owned()),
        ("what is being answered", "#subject p".to_owned()),
    ] {
        assert!(shows_the_beginning(&john, &selector).await, "{what}");
    }
    john.opens(HEBREW).await;
    assert!(shows_the_beginning(&john, "#title").await, "the title");
    // The name of the writer precedes it.
    for (key, who) in [("chats/1", "jane: "), ("users/jim", "You: ")] {
        let shown = format!(
            "return document.querySelector('{} .gist').textContent",
            row(key)
        );
        assert_eq!(john.run(&shown).await, format!("{who}{HEBREW}"));
    }
    assert_eq!(browser.errors().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_a_text_from_right_to_left_begin_at_the_right() {
    let (_database, replica) = service().await;
    replica
        .user("jane")
        .send("john", &format!("שלום\n{HEBREW}"))
        .await;
    let browser = Browser::open(&replica.base).await;
    let john = Person::sign_in(&browser, &replica.base, "john").await;
    john.opens("jane").await;
    john.until("document.querySelector('#log .text')").await;
    let script = format!(
        "{LOOK} const of = document.querySelector('#log .text');
         const [short, long] = [place(of, 'שלום', false), place(of, 'בראשית', false)];
         return short.bottom <= long.top + 1 && Math.abs(short.right - long.right) < 1;"
    );
    assert_eq!(john.run(&script).await, true);
}

/// Whether a word of the page's own reads from left to right, behind everything that a name holds
/// or in a line below it.
async fn stands_behind(person: &Person<'_>, xpath: &str, name: &str, word: &str) -> Value {
    let (xpath, name, word) = (Value::from(xpath), Value::from(name), Value::from(word));
    let script = format!(
        "{LOOK} const of = document.evaluate({xpath}, document, null, 9).singleNodeValue;
         const [begin, end] = [place(of, {word}, false), place(of, {word}, true)];
         const letters = [...{name}].filter((letter) => /[a-z]/i.test(letter));
         const within = letters.map((letter) => place(of, letter, false));
         return begin.left <= end.left
             && within.every(({{ left, bottom }}) => left < begin.left || bottom <= begin.top);"
    );
    person.run(&script).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_turns_nothing_around_but_itself() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    for name in TURNED {
        let chat = jane.chat(name, &["john"]).await;
        jane.post_into(chat, "needle").await;
    }
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "jane").await;
    person.click("//input[@aria-label='Search']").await;
    person.presses_keys("needle").await;
    person
        .until("document.querySelectorAll('#hits .hit').length === 2")
        .await;
    for name in TURNED {
        let place = format!("//*[@class='name'][contains(., '{name}') and contains(., 'You')]");
        assert_eq!(
            stands_behind(&person, &place, name, "You").await,
            true,
            "a hit in {name:?}"
        );
    }
    for name in TURNED {
        person
            .click(&format!("//ol[@id='hits']//a[contains(., '{name}')]"))
            .await;
        person
            .until(&format!(
                "document.querySelector('#title').textContent === '{name}'"
            ))
            .await;
        person.presses("Name and members").await;
        person.presses("Leave").await;
        person
            .until("document.querySelectorAll('dialog').length === 2")
            .await;
        let question = "//dialog[last()]/p";
        assert_eq!(
            stands_behind(&person, question, name, "You").await,
            true,
            "a question about {name:?}"
        );
        person.click("//dialog[last()]//button[.='Cancel']").await;
        person.presses("Done").await;
        person.until("!document.querySelector('dialog')").await;
    }
    assert_eq!(browser.errors().await, [""; 0]);
}

/// What is drawn in the place of an element: with the stacks of marks in the page, and with these
/// unseen.
async fn pictures(person: &Person<'_>, selector: &str) -> [Vec<u8>; 2] {
    let with = person.picture_of(selector).await;
    let hide = "
        const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const hidden = [];
        for (let node = walk.nextNode(); node; node = walk.nextNode()) {
            if (/\\p{M}/u.test(node.data)) hidden.push(node.parentElement);
        }
        hidden.forEach((element) => { element.style.color = 'transparent'; });
        window.show = () => hidden.forEach((element) => { element.style.color = ''; });
        return hidden.length;";
    assert!(person.run(hide).await.as_i64() > Some(0), "there are marks");
    let without = person.picture_of(selector).await;
    person.run("show()").await;
    [with, without]
}

/// Whether the same is drawn in the place of an element with and without the stacks. The pixels of a
/// round corner now and then differ by a shade that nobody sees.
async fn is_untouched(person: &Person<'_>, selector: &str) -> bool {
    let [with, without] = pictures(person, selector).await;
    let script = format!(
        "return (async () => {{
            const pixels = async (bytes) => {{
                const picture = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
                const pen = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
                pen.drawImage(picture, 0, 0);
                return pen.getImageData(0, 0, picture.width, picture.height).data;
            }};
            const [one, other] = [await pixels({with:?}), await pixels({without:?})];
            const isSame = (shade, at) => Math.abs(shade - other[at]) <= 8;
            return one.length === other.length && one.every(isSame);
        }})()"
    );
    person.run(&script).await == true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_of_marks_paints_over_nothing_else() {
    let (_database, replica) = service().await;
    let (jane, john) = (replica.user("jane"), replica.user("john"));
    let (name, text) = (stacked(45), stacked(400));
    let chat = jane.chat(&name, &["john"]).await;
    for text in ["above", "right above"] {
        john.post_into(chat, text).await;
    }
    let sent = jane.post_into(chat, &text).await;
    for text in ["right below", "below"] {
        john.post_into(chat, text).await;
    }
    let answer = json!({ "text": "an answer", "replyTo": sent["id"] });
    jane.call(Method::POST, &format!("/chats/{chat}/messages"), answer)
        .await
        .expect(201);
    john.post_into(chat, &text).await;
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "john").await;
    person.opens(&name).await;
    person.sees("an answer").await;
    person
        .until("document.querySelectorAll('#log .text').length === 7")
        .await;
    // A caret blinks where the focus is.
    person.run("document.activeElement.blur()").await;
    let stacks = is_untouched(&person, "[data-number='3'] .text").await;
    assert!(!stacks, "the stacks themselves are seen");
    // The list, the head and the thread, each beside or between what is stacked.
    for selector in [
        "[data-number='1'] .bubble",
        "[data-number='2'] .bubble",
        "[data-number='3'] .sender",
        "[data-number='3'] .meta",
        "[data-number='4'] .bubble",
        "[data-number='5'] .bubble",
        "[data-number='6'] .text",
        "[data-number='7'] .meta",
        "#composer",
        "#subtitle",
        "#state",
        ".search",
        ".conversation time",
    ] {
        assert!(is_untouched(&person, selector).await, "{selector}");
    }
    person.presses("Name and members").await;
    person
        .until("document.querySelectorAll('.members li').length === 2")
        .await;
    for selector in ["dialog h3", "dialog .members", "dialog .choices"] {
        assert!(is_untouched(&person, selector).await, "{selector}");
    }
}

/// Whether everything that a selector finds is on the screen from its left side to its right one.
async fn fits(person: &Person<'_>, selector: &str) -> bool {
    let script = format!(
        "const boxes = [...document.querySelectorAll('{selector}')]
             .map((element) => element.getBoundingClientRect());
         return boxes.length > 0
             && boxes.every(({{ left, right }}) => left >= 0 && right <= innerWidth);"
    );
    person.run(&script).await == true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_ids_stay_on_the_screen_of_a_phone() {
    let (_database, replica) = service().await;
    let (long, file) = ("M".repeat(64), "W".repeat(64));
    let (jane, other) = (replica.user("jane"), replica.user(&long));
    let chat = jane.chat("Team", &[&long]).await;
    let path = format!("/chats/{chat}/messages");
    let with_file = json!({ "text": "with a file", "files": [file] });
    let sent = other.call(Method::POST, &path, with_file).await.expect(201);
    let answer = json!({ "text": "an answer", "replyTo": sent["id"] });
    jane.call(Method::POST, &path, answer).await.expect(201);
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "jane").await;
    person.takes_screen(PHONE).await;
    person.opens("Team").await;
    person.sees("an answer").await;
    let width = "const { scrollWidth, clientWidth } = document.querySelector('#messages');
                 return scrollWidth - clientWidth";
    assert_eq!(
        person.run(width).await,
        0,
        "there is nothing to scroll to at the side"
    );
    for selector in [".bubble", ".sender", ".quote strong", ".files span"] {
        assert!(fits(&person, selector).await, "{selector}");
    }
    person.acts_on("with a file", "Reply").await;
    for selector in ["#subject strong", "#subject-gist", "#end-subject"] {
        assert!(fits(&person, selector).await, "{selector}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_begins_with_a_whole_character() {
    const FAMILY: &str = "👨‍👩‍👧‍👦";
    let (_database, replica) = service().await;
    replica
        .user("jane")
        .send("john", &format!("{} needle", FAMILY.repeat(20)))
        .await;
    let browser = Browser::open(&replica.base).await;
    let person = Person::sign_in(&browser, &replica.base, "john").await;
    person.click("//input[@aria-label='Search']").await;
    person.presses_keys("needle").await;
    person.until("document.querySelector('#hits .gist')").await;
    let shown = person
        .run("return document.querySelector('#hits .gist').textContent")
        .await;
    let families = shown
        .as_str()
        .and_then(|shown| shown.strip_prefix('…')?.strip_suffix(" needle"));
    let families = families.expect("the end of what is before the match");
    assert!(
        !families.is_empty() && families.replace(FAMILY, "").is_empty(),
        "{shown}"
    );
}
