//! Macros that declare requests, inputs and open enums. They declare data and contain no logic.

/// Declares the setter that every builder has.
macro_rules! when_some {
    () => {
        /// Calls `setter` with the value if there is one. Use it for an option that is only sometimes set.
        #[inline]
        pub fn when_some<V>(self, option: Option<V>, setter: impl FnOnce(Self, V) -> Self) -> Self {
            match option {
                Some(value) => setter(self, value),
                None => self,
            }
        }
    };
}

/// Declares the setters of a builder that only store a value, each with the field that it sets. `some` stores the value
/// in an `Option`. `into T` accepts anything that converts into `T`, `metadata` anything that serializes, and `boxed`
/// and `shared` a function.
macro_rules! setters {
    () => {};
    ($(#[$meta:meta])* $name:ident: some into $type:ty => $($field:ident).+, $($rest:tt)*) => {
        setters!(@set $(#[$meta])* $name, impl Into<$type>, $($field).+, Some($name.into()));
        setters!($($rest)*);
    };
    ($(#[$meta:meta])* $name:ident: some metadata => $($field:ident).+, $($rest:tt)*) => {
        setters!(
            @set $(#[$meta])* $name, impl serde::Serialize, $($field).+,
            Some(crate::call::json::encode::Metadata::new(&$name))
        );
        setters!($($rest)*);
    };
    ($(#[$meta:meta])* $name:ident: some boxed($($bound:tt)+) => $($field:ident).+, $($rest:tt)*) => {
        setters!(@set $(#[$meta])* $name, impl $($bound)+ + 'static, $($field).+, Some(Box::new($name)));
        setters!($($rest)*);
    };
    ($(#[$meta:meta])* $name:ident: some shared($($bound:tt)+) => $($field:ident).+, $($rest:tt)*) => {
        setters!(@set $(#[$meta])* $name, impl $($bound)+ + 'static, $($field).+, Some(std::sync::Arc::new($name)));
        setters!($($rest)*);
    };
    ($(#[$meta:meta])* $name:ident: some $type:ty => $($field:ident).+, $($rest:tt)*) => {
        setters!(@set $(#[$meta])* $name, $type, $($field).+, Some($name));
        setters!($($rest)*);
    };
    ($(#[$meta:meta])* $name:ident: $type:ty => $($field:ident).+, $($rest:tt)*) => {
        setters!(@set $(#[$meta])* $name, $type, $($field).+, $name);
        setters!($($rest)*);
    };
    (@set $(#[$meta:meta])* $name:ident, $type:ty, $($field:ident).+, $value:expr) => {
        $(#[$meta])*
        pub fn $name(mut self, $name: $type) -> Self {
            self.$($field).+ = $value;
            self
        }
    };
}

/// Declares a request with options. Each option states its place in the request (`query`, `json`, `form`, `form_url` or
/// `file`), its name in the Python SDK, and its type. `[String]` accepts an iterator of strings, and `[T]` an iterator
/// of anything that converts into `T`. `into T` accepts anything that converts into `T`. `object` accepts anything that
/// is an object in JSON, or the JSON text of one, and `filter` accepts such an object without nulls. `paging` adds the
/// options of a list whose pages are numbered.
macro_rules! request {
    ($(#[$meta:meta])* $name:ident -> SyncPager<$item:ty> { $($options:tt)* }) => {
        request!(@declare $(#[$meta])* $name -> SyncPager<$item> { $($options)* });

        impl $name {
            /// Resumes a list at a token, which [`SyncPager::token`](crate::SyncPager::token) returned for the same
            /// call with the same options. It replaces `page`.
            #[inline]
            pub fn from_token(mut self, token: impl Into<String>) -> Self {
                self.0.list.from_token = Some(token.into());
                self
            }
        }
    };
    ($(#[$meta:meta])* $name:ident -> $output:ty { $($options:tt)* }) => {
        request!(@declare $(#[$meta])* $name -> $output { $($options)* });
    };
    (@declare $(#[$meta:meta])* $name:ident -> $output:ty { $($options:tt)* }) => {
        $(#[$meta])*
        #[must_use = "nothing is sent before `.send()`"]
        #[derive(Debug, Clone)]
        pub struct $name(crate::call::request::Request);

        impl From<crate::call::request::Request> for $name {
            fn from(request: crate::call::request::Request) -> Self {
                Self(request)
            }
        }

        #[cfg(test)]
        impl AsRef<crate::call::request::Request> for $name {
            fn as_ref(&self) -> &crate::call::request::Request {
                &self.0
            }
        }

        impl $name {
            request!(@options $($options)*);

            /// Sends the request and decodes the response.
            ///
            /// # Errors
            ///
            /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if an argument cannot be sent,
            /// [`Error::Api`](crate::Error::Api) if the platform refuses the request, and any error of the exchange:
            /// see [`Error`](crate::Error).
            #[inline]
            pub fn send(self) -> crate::error::Result<$output> {
                crate::call::typed::Call::from(self.0).send()
            }

            /// Like [`send`](Self::send), but also returns the status, the headers and the raw body.
            ///
            /// # Errors
            ///
            /// The same as for [`send`](Self::send).
            #[inline]
            pub fn send_raw(self) -> crate::error::Result<crate::response::HttpResponse<$output>> {
                crate::call::typed::Call::from(self.0).send_raw()
            }

            /// Applies settings to this call alone.
            #[inline]
            pub fn request_options(mut self, request_options: crate::call::options::RequestOptions) -> Self {
                self.0.options = request_options;
                self
            }

            when_some!();
        }
    };
    (@options) => {};
    (@options paging, $($rest:tt)*) => {
        request! {
            @options
            /// Sets the number of the first page to fetch, from 1.
            query page: u32,
            /// Sets the maximum number of items on a page: 1 to 50. The platform's default is 10.
            query page_limit: u32,
            $($rest)*
        }
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: object, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl serde::Serialize) -> Self {
            let fields = self.0.object(stringify!($field), &$field);
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &fields);
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: filter, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl serde::Serialize) -> Self {
            let fields = self.0.filter(stringify!($field), &$field);
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &fields);
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: [String], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &crate::call::texts($field));
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: [$type:ty], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl Into<$type>>) -> Self {
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &$field.into_iter().map(Into::into).collect::<Vec<$type>>());
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: into $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            let value: $type = $field.into();
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &value);
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: $type) -> Self {
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &$field);
            self
        }
        request!(@options $($rest)*);
    };
}

/// Declares an input: a JSON object that `new` creates from the required fields, with a setter for each optional field.
/// The types are those of [`request!`], except that a required field accepts anything that converts into its type.
/// `field = "wire name"` declares a field that has another name on the wire. A value that cannot be sent becomes an
/// error when the input is sent.
macro_rules! input {
    ($(#[$meta:meta])* $name:ident($($required:ident $(= $required_wire:literal)?: $type:tt),*) { $($options:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        #[must_use]
        pub struct $name(crate::call::json::encode::Fields);

        impl $name {
            /// Creates the input from its required fields.
            #[allow(clippy::new_without_default)]
            #[inline]
            pub fn new($($required: input!(@taken $type)),*) -> Self {
                #[allow(unused_mut)]
                let mut input = Self(crate::call::json::encode::Fields::default());
                $(
                    let required = input!(@made $required $type);
                    input.0.set(input!(@name $required $($required_wire)?), &required);
                )*
                input
            }

            input!(@options $($options)*);

            /// Sets a field that this version of the crate does not know.
            #[inline]
            pub fn field(mut self, name: &str, value: impl serde::Serialize) -> Self {
                self.0.set(name, &value);
                self
            }

            /// Returns the value of a field.
            #[inline]
            pub fn get(&self, name: &str) -> Option<&serde_json::Value> {
                self.0.get(name)
            }

            when_some!();
        }

        impl From<&$name> for $name {
            fn from(input: &$name) -> Self {
                input.clone()
            }
        }
    };
    (@options) => {};
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: object, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl serde::Serialize) -> Self {
            self.0.set_object(input!(@name $field $($wire)?), &$field);
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: [String], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
            self.0.set(input!(@name $field $($wire)?), &crate::call::texts($field));
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: [$type:ty], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl Into<$type>>) -> Self {
            let values: Vec<$type> = $field.into_iter().map(Into::into).collect();
            self.0.set(input!(@name $field $($wire)?), &values);
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: into $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            let value: $type = $field.into();
            self.0.set(input!(@name $field $($wire)?), &value);
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: $type) -> Self {
            self.0.set(input!(@name $field $($wire)?), &$field);
            self
        }
        input!(@options $($rest)*);
    };
    (@taken [String]) => { impl IntoIterator<Item = impl AsRef<str>> };
    (@taken [$type:ty]) => { impl IntoIterator<Item = impl Into<$type>> };
    (@taken $type:ty) => { impl Into<$type> };
    (@made $value:ident [String]) => { crate::call::texts($value) };
    (@made $value:ident [$type:ty]) => { $value.into_iter().map(Into::into).collect::<Vec<$type>>() };
    (@made $value:ident $type:ty) => { Into::<$type>::into($value) };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $wire:literal) => { $wire };
}

/// Declares an enum of the wire format. A value that this crate does not know is kept in `Other`.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// A value that this version of the crate does not know, as received.
            Other(String),
        }

        impl $name {
            /// Returns the value as the platform writes it.
            #[inline]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                text.as_str().into()
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                text.as_str().into()
            }
        }

        impl From<&&str> for $name {
            fn from(text: &&str) -> Self {
                (*text).into()
            }
        }

        impl From<&$name> for $name {
            fn from(value: &$name) -> Self {
                value.clone()
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(text.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Into::into)
            }
        }
    };
}

/// Implements `Debug` for a struct of a response. Fields marked `masked` are URLs that may be signed, and are shown
/// without their queries. Texts and JSON marked `unsigned` are shown without the signatures in them. All fields must be
/// listed, so that no new one is forgotten.
macro_rules! masked_debug {
    ($name:ident { $($field:ident $(: $how:ident)?),* $(,)? }) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let Self { $($field),* } = self;
                let mut shown = f.debug_struct(stringify!($name));
                $(shown.field(stringify!($field), masked_debug!(@shown $field $($how)?));)*
                shown.finish()
            }
        }
    };
    (@shown $field:ident) => { $field };
    (@shown $field:ident masked) => { &$crate::text::Masked($field) };
    (@shown $field:ident unsigned) => { &$crate::text::Unsigned($field) };
}

/// Declares the display and JSON names of one of this crate's own enums.
macro_rules! names {
    ($type:ident { $($variant:ident = $text:literal,)* }) => {
        impl $type {
            /// Returns the name as it is displayed and serialized.
            #[inline]
            pub fn as_str(&self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    input! {
        /// A segment of a video.
        Segment(media_type = "type": String, starts: [u32]) {
            /// The end, in seconds.
            end_sec: f64,
            /// The name.
            label = "name": into String,
            /// Further names.
            tags: [String],
        }
    }

    #[test]
    fn inputs_are_json_objects() {
        let segment =
            Segment::new("video", [1_u8, 2]).end_sec(2.5).label("a").when_some(Some(["b", "c"]), Segment::tags);
        let segment = Segment::from(&segment).field("new", true);
        let json = serde_json::json!({
            "type": "video", "starts": [1, 2], "end_sec": 2.5, "name": "a", "tags": ["b", "c"], "new": true
        });
        assert_eq!(segment.get("end_sec"), Some(&json["end_sec"]));
        assert_eq!(serde_json::to_value(&segment).unwrap(), json);
        assert_eq!(serde_json::from_value::<Segment>(json).unwrap(), segment);
    }
}
