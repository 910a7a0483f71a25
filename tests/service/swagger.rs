//! Swagger UI in a real browser.

use std::time::Duration;

use crate::support::{Browser, service, token};

#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_authorizes_and_executes_a_call_without_an_error() {
    let (_database, replica) = service().await;
    replica
        .user("jane")
        .send("john", "seen from Swagger UI")
        .await;
    let browser = Browser::open(&format!("{}/swagger-ui/", replica.base)).await;
    browser
        .click("//button[contains(@class, 'authorize')]")
        .await;
    let john = token(1, "john", Duration::from_secs(3600));
    browser
        .type_into("//div[@class='auth-container'][1]//input", &john)
        .await;
    browser
        .click("//div[@class='auth-container'][1]//button[@type='submit']")
        .await;
    browser
        .click("//div[@class='auth-container'][1]//button[contains(@class, 'btn-done')]")
        .await;
    browser
        .click("//div[contains(@id, 'sync_messages')]//button[@class='opblock-summary-control']")
        .await;
    browser
        .click("//div[contains(@id, 'sync_messages')]//button[contains(@class, 'execute')]")
        .await;
    browser
        .until(
            "document.querySelector('[id*=sync_messages] .live-responses-table tbody .response-col_status')
                 ?.textContent.startsWith('200')",
        )
        .await;
    let body =
        "return document.querySelector('[id*=sync_messages] .live-responses-table').textContent";
    let body = browser.run(body).await;
    assert!(body.as_str().unwrap().contains("\"total\": 1"), "{body}");
    assert_eq!(browser.errors().await, [""; 0]);
}
