//! The tags there are of a repository: those that the engine has, and those that its registry lists.
//!
//! An engine answers for one tag at a time, so a list has to be asked for here (OCI Distribution Specification, "Listing
//! Tags"). We speak HTTP without encryption only, as engines do themselves with a registry on loopback or one that they were
//! told is insecure. Any other takes TLS, and mostly a token: that is refused, with what can be done instead.

use std::net::IpAddr;
use std::time::Duration;

use bollard::query_parameters::ListImagesOptions;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HOST, LINK};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::Docker;
use crate::runtime::Reference;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// For the whole list.
const PATIENCE: Limit<'static> = Limit { name: "30 s", value: Duration::from_secs(30) };
/// A page of a list is no longer.
const LONGEST: usize = 4 << 20;
/// A list that never ends is none.
const PAGES: usize = 1000;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Deserialize)]
struct Listed {
    /// `null`: the repository is known, and empty.
    tags: Option<Vec<String>>,
}

impl Docker {
    pub(super) async fn tags_here(&self, name: &str) -> Result<Vec<String>, Trouble> {
        let wanted = Reference::of(name).repository();
        let images = self.engine.api.list_images(None::<ListImagesOptions>).await;
        let images = images.map_err(|error| self.engine.trouble("cannot list the engine's images", error))?;
        let named = images.iter().flat_map(|image| &image.repo_tags).map(|named| Reference::of(named));
        let ours = named.filter(|reference| reference.repository() == wanted);
        Ok(ours.filter_map(|reference| reference.tag.map(str::to_owned)).collect())
    }

    pub(super) async fn tags_in_registry(&self, name: &str) -> Result<Vec<String>, Trouble> {
        let (registry, path) = Reference::of(name).place();
        if !self.is_asked_without_encryption(registry).await? {
            let what = format!("the tags of {name} cannot be listed: {registry} takes TLS, which is not spoken here");
            return Err(other_ways(name, Trouble::refused(what)));
        }
        wait::within(PATIENCE, &format!("the list of the tags of {name}"), listed(registry, &path))
            .await
            .map_err(|cause| other_ways(name, cause))
    }

    /// On loopback, if that is the engine's too; or the engine was told so (`insecure-registries`).
    async fn is_asked_without_encryption(&self, registry: &str) -> Result<bool, Trouble> {
        if is_loopback(registry) {
            return Ok(self.local);
        }
        let info = self.engine.api.info().await;
        let info =
            info.map_err(|error| self.engine.trouble("the engine does not say which registries it knows", error))?;
        let known = info.registry_config.and_then(|config| config.index_configs).unwrap_or_default();
        Ok(known.get(registry).is_some_and(|index| index.secure == Some(false)))
    }
}

fn other_ways(name: &str, trouble: Trouble) -> Trouble {
    trouble
        .hint("`v2: { pull: missing }` picks among the tags that the engine has")
        .hint(format!("or name a tag that moves: `v2: {{ image: \"{name}:TAG\", pull: always }}`, without `within`"))
}

fn is_loopback(registry: &str) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn listed(registry: &str, path: &str) -> Result<Vec<String>, Trouble> {
    let mut all = Vec::new();
    let mut next = Some(format!("/v2/{path}/tags/list"));
    for _ in 0..PAGES {
        let Some(page) = next.take() else { return Ok(all) };
        let asked = get(registry, &page).await;
        let (status, head, body) =
            asked.map_err(|e| Trouble::refused(format!("the registry {registry} cannot be asked")).because(e))?;
        refuse(status, registry, path)?;
        let listed: Listed = serde_json::from_slice(&body).map_err(|e| {
            Trouble::refused(format!("the registry {registry} answers with no list of tags")).because(e)
        })?;
        all.extend(listed.tags.unwrap_or_default());
        next = following(&head);
    }
    Err(Trouble::refused(format!("the registry {registry} lists tags of {path} without an end")))
}

async fn get(registry: &str, page: &str) -> Result<(StatusCode, HeaderMap, Bytes), BoxError> {
    let has_port = registry.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
    let at = if has_port { registry.to_owned() } else { format!("{registry}:80") };
    let stream = TokioIo::new(TcpStream::connect(at).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // Ends with the sender; what it would complain of, the answer says too.
    tokio::spawn(connection);
    let request =
        Request::get(page).header(HOST, registry).header(ACCEPT, "application/json").body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, LONGEST).collect().await?.to_bytes();
    Ok((head.status, head.headers, body))
}

fn refuse(status: StatusCode, registry: &str, path: &str) -> Result<(), Trouble> {
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::refused(format!(
            "the registry {registry} asks who wants to know the tags of {path}, which is not said here"
        ))),
        StatusCode::NOT_FOUND => Err(Trouble::refused(format!("the registry {registry} has no {path}"))),
        other => Err(Trouble::refused(format!("the registry {registry} does not list the tags of {path}: {other}"))),
    }
}

/// Where the list goes on: `Link: </v2/shop/tags/list?last=b&n=2>; rel="next"`.
fn following(head: &HeaderMap) -> Option<String> {
    let link = head.get(LINK)?.to_str().ok()?;
    let (target, _) = link.split_once('<')?.1.split_once('>')?;
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map(|at| &rest[at..]),
        None => Some(target),
    };
    path.filter(|path| path.starts_with('/')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A registry on loopback that gives these answers, one a connection.
    async fn registry(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            for answer in answers {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1024];
                let _ = client.read(&mut asked).await.unwrap();
                client.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }
    fn answer(status: &str, head: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_list_in_pages_is_read_to_its_end() {
        let link = "Link: </v2/db/shop/tags/list?last=17.6&n=2>; rel=\"next\"\r\n";
        let first = answer("200 OK", link, r#"{"name":"db/shop","tags":["17","17.6"]}"#);
        let at = registry(vec![first, answer("200 OK", "", r#"{"name":"db/shop","tags":["18"]}"#)]).await;
        assert_eq!(listed(&at, "db/shop").await.unwrap(), ["17", "17.6", "18"]);
    }

    #[tokio::test]
    async fn an_empty_repository_has_no_tags() {
        let at = registry(vec![answer("200 OK", "", r#"{"name":"shop","tags":null}"#)]).await;
        assert!(listed(&at, "shop").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_a_registry_refuses_is_said() {
        let says = async |answer: String| {
            let at = registry(vec![answer]).await;
            let trouble = listed(&at, "shop").await.unwrap_err();
            assert_eq!(trouble.kind, crate::trouble::Kind::Refused);
            trouble.one_line().replace(&at, "R")
        };
        let who = "WWW-Authenticate: Bearer realm=\"x\"\r\n";
        assert_eq!(
            says(answer("401 Unauthorized", who, "")).await,
            "the registry R asks who wants to know the tags of shop, which is not said here"
        );
        assert_eq!(says(answer("404 Not Found", "", "{}")).await, "the registry R has no shop");
        assert!(says(answer("200 OK", "", "<html>")).await.starts_with("the registry R answers with no list of tags"));
        assert!(says(String::new()).await.starts_with("the registry R cannot be asked"));
    }

    #[test]
    fn only_loopback_is_loopback() {
        for near in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["docker.io", "localhost.example:5000", "10.0.0.1:5000", "registry:5000"] {
            assert!(!is_loopback(far), "{far}");
        }
    }

    #[test]
    fn a_list_goes_on_where_it_says() {
        let next = |link: &str| {
            let mut head = HeaderMap::new();
            head.insert(LINK, link.parse().unwrap());
            following(&head)
        };
        assert_eq!(next("</v2/a/tags/list?n=2>; rel=\"next\"").as_deref(), Some("/v2/a/tags/list?n=2"));
        assert_eq!(next("<http://r:5000/v2/a/tags/list>; rel=\"next\"").as_deref(), Some("/v2/a/tags/list"));
        assert_eq!(next("nowhere"), None);
        assert_eq!(following(&HeaderMap::new()), None);
    }
}
