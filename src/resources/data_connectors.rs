//! Data connectors: connections to accounts at other providers.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::call::Call;
use crate::call::list::pager::SyncPager;
use crate::http::session::Session;

/// Connects accounts at other providers, see [`TwelveLabs::data_connectors`](crate::TwelveLabs::data_connectors). Their files are imported by
/// [`imports`](crate::TwelveLabs::imports).
#[derive(Debug, Clone)]
pub struct DataConnectorsClient(pub(crate) Session);

impl DataConnectorsClient {
    /// Begins the authorization of a connection: gives the URL to send the user to.
    ///
    /// When the user has agreed, the platform sends the browser on to `redirect_uri`, with `connection_id`, `status` and
    /// your `custom_id` in its query; otherwise with `error`. Any URI is accepted until
    /// [some are registered](Self::create_redirect_uri).
    ///
    /// ```no_run
    /// use twelvelabs::data_connectors::ConnectionProvider;
    ///
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let done = "https://app.example.com/oauth/done";
    /// let authorize = client.data_connectors().authorize_connection(ConnectionProvider::GoogleDrive, done);
    /// println!("{}", authorize.custom_id("customer-42").send()?.authorize_url.unwrap_or_default());
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn authorize_connection(
        &self,
        provider: impl Into<ConnectionProvider>,
        redirect_uri: impl Into<String>,
    ) -> AuthorizeConnection {
        let mut request = self.0.post(&["connections"]).custom_method("authorize");
        request.json("provider", &provider.into());
        request.json("redirect_uri", &redirect_uri.into());
        request.into()
    }

    /// Lists the connections of the account, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for connection in client.data_connectors().list_connections().send()? {
    ///     let connection = connection?;
    ///     println!("{} {:?}", connection.id, connection.status);
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_connections(&self) -> ListConnections {
        self.0.get(&["connections"]).into()
    }

    /// Gets one connection.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let connection = client.data_connectors().retrieve_connection("66f…").send()?;
    /// println!("{:?} {:?}", connection.status, connection.account);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn retrieve_connection(&self, connection_id: &str) -> Call<Connection> {
        self.0.get(&["connections", connection_id]).into()
    }

    /// Disconnects an account: the platform gives up its access and deletes its tokens. What was imported stays.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.data_connectors().delete_connection("66f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete_connection(&self, connection_id: &str) -> Call<()> {
        self.0.delete(&["connections", connection_id]).into()
    }

    /// Creates a token for the provider's file picker, with which the user chooses files. It only reads, and does not
    /// live long. The connection has to be active.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let token = client.data_connectors().create_connection_picker_token("66f…").send()?;
    /// println!("it ends in {:?} s", token.expires_in);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_connection_picker_token(&self, connection_id: &str) -> Call<CreateConnectionPickerTokenResponse> {
        self.0.post(&["connections", connection_id, "picker-token"]).into()
    }

    /// Lists the registered redirect URIs, newest first.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// for uri in client.data_connectors().list_redirect_uris().send()? {
    ///     println!("{}", uri?.redirect_uri.unwrap_or_default());
    /// }
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn list_redirect_uris(&self) -> ListRedirectUris {
        self.0.get(&["connections", "redirect-uris"]).into()
    }

    /// Registers a redirect URI. As soon as there is one, an [authorization](Self::authorize_connection) takes none but
    /// the registered, and exactly as they are written.
    ///
    /// It has to begin with `https://`, name a public host, and be without wildcards.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// let uri = client.data_connectors().create_redirect_uri("https://app.example.com/oauth/done").send()?;
    /// println!("{}", uri.id);
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn create_redirect_uri(&self, redirect_uri: impl Into<String>) -> Call<RedirectUri> {
        let mut request = self.0.post(&["connections", "redirect-uris"]);
        request.json("redirect_uri", &redirect_uri.into());
        request.into()
    }

    /// Takes a redirect URI off the list for good.
    ///
    /// ```no_run
    /// # let client = twelvelabs::TwelveLabs::from_env()?;
    /// client.data_connectors().delete_redirect_uri("66f…").send()?;
    /// # Ok::<(), twelvelabs::Error>(())
    /// ```
    pub fn delete_redirect_uri(&self, redirect_uri_id: &str) -> Call<()> {
        self.0.delete(&["connections", "redirect-uris", redirect_uri_id]).into()
    }
}

request! {
    /// Options of [`DataConnectorsClient::authorize_connection`].
    AuthorizeConnection -> AuthorizeConnectionResponse {
        /// A label of your own that comes back with the connection, to find the user that it belongs to. It should not
        /// name a person, and need not be the only one of its kind.
        json custom_id: into String,
    }
}

request! {
    /// Options of [`DataConnectorsClient::list_connections`].
    ListConnections -> SyncPager<Connection> {
        /// The page to begin with, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
    }
}

request! {
    /// Options of [`DataConnectorsClient::list_redirect_uris`].
    ListRedirectUris -> SyncPager<RedirectUri> {
        /// The page to begin with, from 1.
        query page: u32,
        /// The most items on a page: 1 to 50, 10 by default.
        query page_limit: u32,
    }
}

open_enum! {
    /// Where an account is connected, and files are imported from.
    ConnectionProvider {
        /// Google Drive.
        GoogleDrive = "google_drive",
    }
}

open_enum! {
    /// The status of a connection.
    ConnectionStatus {
        /// It can be used.
        Active = "active",
        /// The access has ended: authorize it again.
        Expired = "expired",
        /// The access was taken back.
        Revoked = "revoked",
    }
}

/// A connection to an account at another provider.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Connection {
    /// The id.
    #[serde(rename = "_id")]
    pub id: String,
    /// Where the account is.
    pub provider: Option<ConnectionProvider>,
    /// Its status.
    pub status: Option<ConnectionStatus>,
    /// Your own label.
    pub custom_id: Option<String>,
    /// The account.
    pub account: Option<ConnectionAccount>,
    /// What the user has agreed to, in the provider's words.
    pub scopes: Option<Vec<String>>,
    /// When it was made.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub connected_at: Option<OffsetDateTime>,
    /// When it was last used.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub last_used_at: Option<OffsetDateTime>,
}

/// The account of a [`Connection`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionAccount {
    /// Its id at the provider, which does not change.
    pub external_id: Option<String>,
    /// A name for people, as an e-mail address.
    pub display_name: Option<String>,
}

/// What [`DataConnectorsClient::authorize_connection`] gives. `Debug` shows neither field: both have the secret of the
/// authorization in them.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuthorizeConnectionResponse {
    /// Where to send the user.
    pub authorize_url: Option<String>,
    /// The secret by which the platform knows the authorization again. It is in the URL already: there is nothing to do
    /// with it.
    pub state: Option<String>,
}

impl fmt::Debug for AuthorizeConnectionResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizeConnectionResponse").finish_non_exhaustive()
    }
}

/// What [`DataConnectorsClient::create_connection_picker_token`] gives. `Debug` does not show the token and the key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CreateConnectionPickerTokenResponse {
    /// The token.
    pub access_token: Option<String>,
    /// How long it lives, in seconds.
    pub expires_in: Option<u64>,
    /// What it allows, in the provider's words, with spaces between them.
    pub scope: Option<String>,
    /// The number of the app, for `setAppId` of Google's picker.
    pub app_id: Option<String>,
    /// The key of the browser, for `setDeveloperKey` of Google's picker.
    pub developer_key: Option<String>,
}

impl fmt::Debug for CreateConnectionPickerTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateConnectionPickerTokenResponse")
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .field("app_id", &self.app_id)
            .finish_non_exhaustive()
    }
}

/// A redirect URI that authorizations may name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RedirectUri {
    /// The id.
    #[serde(rename = "_id")]
    pub id: String,
    /// The URI.
    pub redirect_uri: Option<String>,
    /// When it was registered.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}
