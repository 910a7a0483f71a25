//! Text as a reader sees it: what looks the same by rule is found, marked and measured as the same,
//! however it is encoded, and comes back as it was sent.

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use reqwest::Method;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::support::{Client, service};

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The highlights of the caller's messages that match, the newest first.
async fn highlights(user: &Client, q: &str) -> Vec<String> {
    let page = user
        .get(&format!("/messages/search?limit=100&q={}", url_encoded(q)))
        .await
        .expect(200);
    let hits = page["hits"].as_array().unwrap().iter();
    hits.map(|hit| hit["highlight"].as_str().unwrap().to_owned())
        .collect()
}

/// Spellings of one word each: by rule they are the same text.
const SPELLINGS: [&[&str]; 18] = [
    &["mañana", "man\u{303}ana", "MAÑANA", "MAN\u{303}ANA"],
    &[
        "việt",
        "vie\u{323}\u{302}t",
        "vie\u{302}\u{323}t",
        "vi\u{ea}\u{323}t",
        "vi\u{1eb9}\u{302}t",
    ],
    &["がっこう", "か\u{3099}っこう"],
    &["パン", "ハ\u{309a}ン"],
    &["ヷイオリン", "ワ\u{3099}イオリン"],
    &[
        "한글",
        "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}",
        "하\u{11ab}그\u{11af}",
    ],
    &["\u{958}लम", "क\u{93c}लम"],
    &["ångström", "a\u{30a}ngstro\u{308}m", "\u{212b}ngström"],
    &["5ω", "5\u{2126}"],
    &["豈", "\u{f900}"],
    &["\u{fb2a}לום", "ש\u{5c1}לום"],
    &[
        "istanbul",
        "İstanbul",
        "I\u{307}STANBUL",
        "ISTANBUL",
        "ıstanbul",
        "i\u{307}stanbul",
    ],
    &["diyarbakir", "Diyarbakır", "DİYARBAKIR", "DIYARBAKIR"],
    &["strasse", "straße", "STRASSE", "STRAẞE"],
    &["office", "oﬃce", "OFFICE"],
    &["ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ", "ο\u{313}δυσσευ\u{301}σ"],
    &["ᾳδω", "ΑΙΔΩ", "α\u{345}δω"],
    &["ꭰꮃ", "ᎠᎳ"],
];

#[tokio::test]
async fn every_spelling_of_a_word_finds_every_other_one() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let mut wrong = Vec::new();
    for spellings in SPELLINGS {
        for text in spellings {
            let sent = jane.send("john", &format!("one {text}, two")).await;
            assert_eq!(
                sent["text"],
                format!("one {text}, two"),
                "it comes back as it was sent"
            );
        }
        for _ in ["pending", "indexed"] {
            for q in spellings {
                let expected: Vec<_> = spellings
                    .iter()
                    .rev()
                    .map(|text| format!("one <mark>{text}</mark>, two"))
                    .collect();
                let found = highlights(&jane, q).await;
                if found != expected {
                    wrong.push(format!("{q:?}: {found:?}"));
                }
            }
            database.until_indexed().await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A query, a text, and the text with its marks, or nothing where it is not found.
const MARKED: [(&str, &str, Option<&str>); 21] = [
    ("👍", "great 👍🏽!", Some("great <mark>👍🏽</mark>!")),
    ("👍🏽", "great 👍🏽!", Some("great <mark>👍🏽</mark>!")),
    ("👨", "👨‍👩‍👧!", Some("<mark>👨‍👩‍👧</mark>!")),
    ("👨‍👩‍👧", "a👨‍👩‍👧", Some("a<mark>👨‍👩‍👧</mark>")),
    ("👨‍👩‍👧", "👨👩👧", None),
    ("🇩🇪", "🇩🇪🇸🇪", Some("<mark>🇩🇪</mark>🇸🇪")),
    ("🇪🇸", "🇩🇪🇸🇪", None),
    ("❤", "I ❤\u{fe0f} it", Some("I <mark>❤\u{fe0f}</mark> it")),
    ("❤\u{fe0f}", "I ❤ it", Some("I <mark>❤</mark> it")),
    (
        "1",
        "1\u{fe0f}\u{20e3}",
        Some("<mark>1\u{fe0f}\u{20e3}</mark>"),
    ),
    ("葛", "葛\u{e0100}城", Some("<mark>葛\u{e0100}</mark>城")),
    ("葛城", "葛\u{e0100}城", Some("<mark>葛\u{e0100}城</mark>")),
    ("ท", "ที่นี่", Some("<mark>ที่</mark>นี่")),
    ("ทีน", "ที่นี่", None),
    ("สวัสด", "สวัสดีครับ", Some("<mark>สวัสดี</mark>ครับ")),
    ("か", "が", None),
    ("か", "か\u{3099}", None),
    ("カ", "カ\u{309a}", None),
    (
        "カ\u{309a}",
        "カ\u{309a}!",
        Some("<mark>カ\u{309a}</mark>!"),
    ),
    ("नम", "नमस्ते दुनिया", Some("<mark>नमस्ते</mark> दुनिया")),
    ("man", "man\u{303}ana", None),
];

#[tokio::test]
async fn a_mark_holds_whole_characters() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let mut wrong = Vec::new();
    for (q, text, expected) in MARKED {
        let sent = jane.send("john", text).await;
        for _ in ["pending", "indexed"] {
            let found = highlights(&jane, q).await;
            if found != Vec::from_iter(expected) {
                wrong.push(format!("{q:?} in {text:?}: {found:?}"));
            }
            database.until_indexed().await;
        }
        jane.delete(&sent["id"], &sent["timestamp"])
            .await
            .expect(200);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Random words of scripts with marks, the same ones in every run.
fn words(count: usize) -> Vec<String> {
    let strategy = prop_oneof![
        "[aAeEiIoOuUnNsSıİ][\u{300}-\u{30c}\u{323}-\u{328}]{0,2}[a-zà-ÿĀ-žơưḀ-ỹ]{1,6}",
        "[かがきぎはばぱうゔカガハバパワ][\u{3099}\u{309a}]?[ぁ-んァ-ン]{1,4}",
        "[가-힣]{1,3}[\u{1100}-\u{1112}][\u{1161}-\u{1175}][\u{11a8}-\u{11c2}]?",
        "[αεηιουω][\u{313}\u{314}\u{301}\u{300}\u{342}\u{345}]{0,3}[ἀ-ᾼά-ώ]{1,4}",
        "[क-ह]\u{93c}?[\u{93e}-\u{941}]?[क-ह\u{958}-\u{95f}]{1,4}",
        "[ก-ฮ][ะ-ูเ-ไ]?[่-์]?[ก-ฮ]{1,3}",
        "[\u{f900}-\u{fa0d}一-龥]{2,4}",
        "[אבש][\u{5b0}-\u{5c2}]{0,3}[א-ת\u{fb2a}-\u{fb4a}]{1,4}",
    ];
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// A word as one system writes it, another system, and one that has no rule.
fn spellings(word: &str) -> [String; 3] {
    let mixed = word.nfd().collect::<String>();
    let mixed = mixed
        .graphemes(true)
        .enumerate()
        .map(|(index, character)| match index % 2 {
            0 => character.to_owned(),
            _ => character.nfc().collect(),
        });
    [word.nfc().collect(), word.nfd().collect(), mixed.collect()]
}

/// The text of a highlight, after a check of its marks: they begin and end where characters do.
fn without_marks(html: &str) -> String {
    let mut text = String::new();
    let mut borders = Vec::new();
    for (index, piece) in html
        .split("<mark>")
        .flat_map(|piece| piece.split("</mark>"))
        .enumerate()
    {
        borders.extend((index > 0).then_some(text.len()));
        text.push_str(piece);
    }
    let mut starts: Vec<_> = text
        .grapheme_indices(true)
        .map(|(start, _)| start)
        .collect();
    starts.push(text.len());
    assert!(
        borders.iter().all(|border| starts.contains(border)),
        "{html:?}"
    );
    text
}

#[tokio::test]
async fn random_words_are_found_in_whatever_form_they_are_written_and_searched_for() {
    let (database, replica) = service().await;
    let jane = replica.user("jane");
    let words = words(64);
    let texts = words
        .iter()
        .flat_map(|word| spellings(word).map(|text| format!("1 {text} 2")));
    let sending = texts.map(|text| {
        let jane = jane.clone();
        async move { jane.send("john", &text).await }
    });
    futures_util::future::join_all(sending).await;
    let mut wrong = Vec::new();
    for _ in ["pending", "indexed"] {
        for word in &words {
            for q in spellings(word) {
                let found = highlights(&jane, &format!("\"1 {q} 2\"")).await;
                let found: Vec<_> = found.iter().map(|html| without_marks(html)).collect();
                for text in spellings(word) {
                    let text = format!("1 {text} 2");
                    if !found.contains(&text) {
                        wrong.push(format!("{q:?} does not find {text:?}"));
                    }
                }
            }
        }
        database.until_indexed().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_same_text_has_the_same_limit_however_it_is_encoded() {
    let (_database, replica) = service().await;
    let jane = replica.user("jane");
    let text = async |text: String| jane.post(json!({ "to": "john", "text": text })).await;
    let name = async |name: String| {
        jane.call(Method::POST, "/chats", json!({ "name": name }))
            .await
    };
    let q = async |q: String| {
        jane.get(&format!("/messages/search?q={}", url_encoded(&q)))
            .await
    };
    // The letter with a nukta is written as two characters in every normal form.
    for (letter, length) in [
        ("ñ", 1),
        ("n\u{303}", 1),
        ("e\u{323}\u{302}", 1),
        ("\u{958}", 2),
        ("क\u{93c}", 2),
    ] {
        let most = |limit: usize| letter.repeat(limit / length);
        let more = |limit: usize| most(limit) + letter;
        let long = text(most(20_000)).await.expect(201);
        assert_eq!(
            long["text"].as_str(),
            Some(most(20_000).as_str()),
            "it comes back as it was sent"
        );
        assert_eq!(
            text(more(20_000)).await.wrong_fields(),
            ["text"],
            "{letter:?}"
        );
        let chat = name(most(200)).await.expect(201);
        assert_eq!(chat["name"].as_str(), Some(most(200).as_str()));
        assert_eq!(name(more(200)).await.wrong_fields(), ["name"], "{letter:?}");
        q(most(200)).await.expect(200);
        assert_eq!(q(more(200)).await.wrong_fields(), ["q"], "{letter:?}");
    }
}
