//! A user of the web mail as its page is: signed in by cookie, speaking JMAP.

use serde_json::{Value, json};

use crate::{Http, Instance};

const USING: [&str; 6] = [
    "urn:ietf:params:jmap:core",
    "urn:ietf:params:jmap:mail",
    "urn:ietf:params:jmap:submission",
    "urn:ietf:params:jmap:vacationresponse",
    "urn:ietf:params:jmap:quota",
    "urn:x-mailboat:jmap:account",
];

/// One session.
pub struct WebClient {
    pub http: Http,
    /// Cookie and token.
    pub fields: String,
    uid: String,
}

impl WebClient {
    /// Signs in with the password that test users have.
    pub fn sign_in(instance: &Instance, user: &str) -> WebClient {
        WebClient::sign_in_with(instance, user, &format!("{user}-secret"))
    }

    pub fn sign_in_with(instance: &Instance, user: &str, password: &str) -> WebClient {
        let mut http = instance.http();
        let fields = http.sign_in(user, password);
        WebClient { http, fields, uid: user.to_owned() }
    }

    /// Of who has a second factor.
    pub fn sign_in_by_code(instance: &Instance, user: &str, password: &str, code: &str) -> WebClient {
        let mut http = instance.http();
        let body = json!({ "user": user, "password": password, "code": code }).to_string();
        let fields = http.post_json("/auth/sign-in", "", &body).session_fields();
        WebClient { http, fields, uid: user.to_owned() }
    }

    /// The same session on another connection: the former one's server was killed.
    pub fn again(self, instance: &Instance) -> WebClient {
        WebClient { http: instance.http(), ..self }
    }

    /// All responses to one method call: name and arguments of each.
    pub fn responses(&mut self, name: &str, mut arguments: Value) -> Vec<(String, Value)> {
        arguments["accountId"] = json!(self.uid);
        let body = json!({ "using": USING, "methodCalls": [[name, arguments, "c"]] }).to_string();
        let response = self.http.post_json("/jmap/api", &self.fields, &body);
        assert_eq!(response.status, 200, "{}", response.text());
        let answer = response.json();
        let all = answer["methodResponses"].as_array().unwrap().iter();
        all.map(|one| (one[0].as_str().unwrap().to_owned(), one[1].clone())).collect()
    }

    /// The response to one method call.
    pub fn call(&mut self, name: &str, arguments: Value) -> Value {
        self.responses(name, arguments).remove(0).1
    }

    /// Changes the only object of a type; it must succeed.
    pub fn update(&mut self, kind: &str, patch: Value) {
        let answer = self.call(&format!("{kind}/set"), json!({ "update": { "singleton": patch } }));
        assert!(answer["updated"].get("singleton").is_some(), "{answer}");
    }

    /// The only object of a type.
    pub fn single(&mut self, kind: &str) -> Value {
        self.call(&format!("{kind}/get"), json!({ "ids": null }))["list"][0].clone()
    }

    /// The id of the newest email of all mailboxes.
    pub fn newest(&mut self) -> String {
        let sort = json!([{ "property": "receivedAt", "isAscending": false }]);
        let found = self.call("Email/query", json!({ "sort": sort, "limit": 1 }));
        found["ids"][0].as_str().unwrap_or_else(|| panic!("no email: {found}")).to_owned()
    }

    /// The id of the user's own identity.
    pub fn identity(&mut self) -> String {
        let found = self.call("Identity/get", json!({ "ids": null }));
        found["list"][0]["id"].as_str().unwrap_or_else(|| panic!("no identity: {found}")).to_owned()
    }

    /// Signs out.
    pub fn sign_out(&mut self) {
        let response = self.http.ask("POST", "/auth/sign-out", &self.fields, b"");
        assert_eq!(response.status, 204, "{}", response.text());
    }
}
